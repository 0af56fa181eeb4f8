/* Sets the chosen colours before the page is drawn, so that it does not flash. */
"use strict";
{
  const palette = window.__md_get("__palette");
  if (palette && palette.color) {
    if (palette.color.media === "(prefers-color-scheme)") {
      const mode = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
      const input = document.querySelector(`[data-md-color-media='(prefers-color-scheme: ${mode})']`);
      for (const key of ["media", "scheme", "primary", "accent"])
        palette.color[key] = input.getAttribute(`data-md-color-${key}`);
    }
    for (const [key, value] of Object.entries(palette.color))
      document.body.setAttribute(`data-md-color-${key}`, value);
  }
}
