/* Sorts and filters the leaderboard. Without it the whole table stands there, in the order of results.csv. */
"use strict";

function enhance(table, form) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const columns = new Map(heads.map((head, index) => [head.dataset.column, index]));
  const value = (row, column) => row.cells[columns.get(column)].dataset.value;
  const collator = new Intl.Collator("en", { numeric: true });

  function sort(head, descending) {
    const index = columns.get(head.dataset.column);
    const numbers = head.dataset.kind === "number";
    const sorted = [...rows].sort((one, other) => {
      const [a, b] = [one, other].map((row) => row.cells[index].dataset.value);
      // Rows without a figure come last either way.
      if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
      const order = numbers ? Number(a) - Number(b) : collator.compare(a, b);
      return descending ? -order : order;
    });
    for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...sorted);
  }

  function passes(row, name, wanted) {
    if (!wanted) return true;
    if (name === "metric" && wanted === "printed") return row.hasAttribute("data-printed");
    if (name === "verdict" && wanted === "none printed") return !value(row, name);
    return value(row, name) === wanted;
  }

  function filter() {
    const wanted = [...form.querySelectorAll("select")].map((select) => [select.name, select.value]);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !wanted.every(([name, choice]) => passes(row, name, choice));
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("leaderboard-count").value = `${shown} of ${rows.length} rows`;
  }

  function keepInAddress() {
    const address = new URL(location);
    for (const select of form.querySelectorAll("select")) {
      const first = [...select.options].find((option) => option.defaultSelected) ?? select.options[0];
      if (select.value === first.value) address.searchParams.delete(select.name);
      else address.searchParams.set(select.name, select.value);
    }
    history.replaceState(history.state, "", address);
  }

  for (const head of heads) {
    if (head.dataset.kind === "picture") continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, head.getAttribute("aria-sort") === "ascending"));
    head.append(button);
    head.setAttribute("aria-sort", "none");
  }

  const asked = new URL(location).searchParams;
  for (const select of form.querySelectorAll("select")) {
    const choice = asked.get(select.name);
    if ([...select.options].some((option) => option.value === choice)) select.value = choice;
  }
  form.addEventListener("change", () => (filter(), keepInAddress()));
  form.addEventListener("submit", (event) => event.preventDefault());
  // The fields have their first values only after the event.
  form.addEventListener("reset", () => setTimeout(() => (filter(), keepInAddress())));
  form.hidden = false;
  filter();
}

{
  const table = document.getElementById("leaderboard-table");
  const form = document.getElementById("leaderboard-filters");
  if (table && form) enhance(table, form);
}
