"""How well a model predicts the next day that is never updated, updated every day, or trained anew every day.

Run from a clone, see docs/online-learning.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tfzoo
from tfzoo.files import write_text
from tfzoo.reporting.figures import new_figure, save_figure
from tfzoo.training.record import environment

DATASET, MODEL, RECIPE = "ml-100k", "biased-mf", "tuned"
SECONDS_A_DAY = 86_400
DAYS, EPOCHS, REPLAY = 10, 20, 0.1
COLUMNS: dict[str, Any] = {
    "user_col": "user_id",
    "item_col": "item_id",
    "rating_col": "rating",
    "time_col": "time",
}
COLORS = {"never": "#999999", "updated": "#3b6ea5", "replayed": "#2f8f5b", "retrained": "#d9822b"}


def ratings() -> pd.DataFrame:
    """Return the ratings in the order of time, with the number of their day."""
    data = tfzoo.load_dataset(DATASET)
    frame = pd.DataFrame(
        {
            "user_id": data.users.decode(data.user_id),
            "item_id": data.items.decode(data.item_id),
            "rating": data.ratings,
            "time": data.timestamp,
        }
    )
    frame = frame.sort_values("time", kind="stable", ignore_index=True)
    return frame.assign(day=(frame.time - frame.time.min()) // SECONDS_A_DAY)


def squared_errors(model: Any, day: pd.DataFrame) -> np.ndarray:
    """Return the squared error of every rating of a day, clipped to 1 to 5."""
    found = model.predict(day[["user_id", "item_id"]]).rating.clip(1, 5).to_numpy()
    return np.asarray((found - day.rating.to_numpy()) ** 2)


def fit(frame: pd.DataFrame) -> Any:
    """Train on all of some ratings."""
    return tfzoo.fit(
        frame.drop(columns="day"),
        MODEL,
        recipe=RECIPE,
        fit_on="all",
        verbose=False,
        **COLUMNS,
        epochs=EPOCHS,
        jit_compile=False,
    )


def day_by_day(frame: pd.DataFrame, days: int) -> list[dict[str, Any]]:
    """Predict each of the last days with ratings from the days before it, in four ways.

    Returns:
        A row a day: its number, ratings, ratings of users that the first training knew, for each way the sum
        of squared errors, and the seconds that it took to bring it up to the day.
    """
    last = sorted(frame.day.unique())[-days:]
    first = fit(frame[frame.day < last[0]])
    models = {"never": first, "updated": first, "replayed": first, "retrained": first}
    known = set(frame.user_id[frame.day < last[0]])
    rows = []
    for number, day in enumerate(last):
        today = frame[frame.day == day]
        row: dict[str, Any] = {
            "day": int(day),
            "ratings": len(today),
            "of_known_users": int(today.user_id.isin(known).sum()),
        }
        for way, model in models.items():
            row[way] = float(squared_errors(model, today).sum())
        rows.append(row)
        if number + 1 < len(last):
            new = today.drop(columns="day")
            for way, bring in {
                "updated": lambda model, new=new: model.update(new, verbose=False, jit_compile=False),
                "replayed": lambda model, new=new: model.update(
                    new, replay=REPLAY, verbose=False, jit_compile=False
                ),
                "retrained": lambda _, day=day: fit(frame[frame.day <= day]),
            }.items():
                started = time.perf_counter()
                models[way] = bring(models[way])
                row[f"{way}_seconds"] = round(time.perf_counter() - started, 2)
        print(json.dumps(row), flush=True)
    return rows


def draw(rows: list[dict[str, Any]], target: Path) -> list[Path]:
    """Draw the RMSE of all ratings up to each day; returns the files written."""
    figure, axes = new_figure(6.0, 3.6)
    count = np.cumsum([row["ratings"] for row in rows])
    for way, color in COLORS.items():
        errors = np.sqrt(np.cumsum([row[way] for row in rows]) / count)
        axes.plot(np.arange(1, len(rows) + 1), errors, color=color, label=way)
    axes.set_xlabel("days since the first training")
    axes.set_ylabel("RMSE of the next day's ratings, all days so far")
    axes.legend(fontsize=8)
    return save_figure(figure, target)


def table(content: dict[str, Any]) -> str:
    """Return the table of the page: RMSE and seconds a day of each way."""
    rows = content["rows"]
    count = sum(row["ratings"] for row in rows)
    lines = ["| model | RMSE of the next day | seconds a day |", "|---|---|---|"]
    names = {
        "never": "never updated",
        "updated": "updated every day",
        "replayed": f"updated, with {content['replay']:.0%} of the earlier data replayed",
        "retrained": "trained anew every day",
    }
    for way, name in names.items():
        rmse = float(np.sqrt(sum(row[way] for row in rows) / count))
        seconds = [row[f"{way}_seconds"] for row in rows if f"{way}_seconds" in row]
        lines.append(
            f"| {name} | {rmse:.4f} | {np.median(seconds):.1f} |"
            if seconds
            else f"| {name} | {rmse:.4f} | 0 |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help="last days with ratings")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--plot", type=Path, help="draw them to this path, as .png and .svg")
    options = parser.parse_args()
    about = {"dataset": DATASET, "model": MODEL, "recipe": RECIPE, "epochs": EPOCHS, "replay": REPLAY}
    rows = day_by_day(ratings(), options.days)
    content = {"environment": environment(), **about, "rows": rows}
    print(table(content))
    if options.output:
        write_text(options.output, json.dumps(content, indent=1) + "\n")
    if options.plot:
        draw(rows, options.plot)


if __name__ == "__main__":
    main()
