"""Reads a results directory with DuckDB, pandas or Polars alone, as docs/results.md describes it, and compares with summary.json.

    check.py duckdb|pandas|polars DIRECTORY

Prints how many values were compared; ends with 1 and a line for each difference.
"""

import json
import math
import statistics
import sys
from pathlib import Path

# Every figure is computed for each run, (arm, repeat), from the tables alone.
FIGURES = ["speed_mbps.p50", "peer_efficiency.bytes", "bytes.inter_as", "as.gini", "edge_p95_egress_mbps"]


def with_duckdb(directory):
    import duckdb

    def path(table):
        return f"'{directory / table}.parquet'"

    def by_run(query):
        return {(arm, repeat): value for arm, repeat, value in duckdb.sql(query).fetchall()}

    rows = {file.name: duckdb.sql(f"SELECT * FROM '{file}'").fetchall() for file in directory.glob("*.parquet")}
    run = "arm, repeat"
    values = {
        "speed_mbps.p50": by_run(
            f"SELECT {run}, quantile_cont(speed_mbps, 0.5) FROM {path('downloads')} WHERE status = 'completed' GROUP BY ALL"
        ),
        "peer_efficiency.bytes": by_run(
            f"SELECT {run}, sum(peer_bytes) / sum(peer_bytes + edge_bytes) FROM {path('downloads')} GROUP BY ALL"
        ),
        "bytes.inter_as": by_run(
            f"SELECT {run}, sum(greatest(sent_bytes, received_bytes)) FILTER (source_role = 'peer'"
            f" AND source_as <> destination_as) FROM {path('transfers')} GROUP BY ALL"
        ),
        "as.gini": by_run(
            "WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY arm, repeat ORDER BY sent_bytes) AS i,"
            f" count(*) OVER (PARTITION BY arm, repeat) AS n FROM {path('ases')})"
            f" SELECT {run}, sum((2 * i - n - 1) * sent_bytes) / nullif(any_value(n) * sum(sent_bytes), 0)"
            " FROM ranked GROUP BY ALL"
        ),
        "edge_p95_egress_mbps": by_run(
            f"WITH seconds AS (SELECT {run}, t_s, sum(carried_bytes) * 8e-6 / any_value(interval_s) AS mbps FROM"
            f" {path('links')} WHERE class = 'access' AND direction = 'up' AND link LIKE 'edge-%' GROUP BY ALL)"
            f" SELECT {run}, quantile_cont(mbps, 0.95) FROM seconds GROUP BY ALL"
        ),
    }
    return {name: len(table) for name, table in rows.items()}, values


def with_pandas(directory):
    import pandas

    tables = {file.stem: pandas.read_parquet(file) for file in directory.glob("*.parquet")}
    run = ["arm", "repeat"]

    def gini(group):
        sent = sorted(group["sent_bytes"])
        n, total = len(sent), sum(sent)
        return sum((2 * (i + 1) - n - 1) * x for i, x in enumerate(sent)) / (n * total) if total else None

    downloads, transfers, links = tables["downloads"], tables["transfers"], tables["links"]
    whole = downloads[downloads["status"] == "completed"]
    sums = downloads.groupby(run)[["peer_bytes", "edge_bytes"]].sum()
    between = (transfers["source_role"] == "peer") & (transfers["source_as"] != transfers["destination_as"])
    crossed = transfers[["sent_bytes", "received_bytes"]].max(axis=1).where(between, 0)
    up = links[(links["class"] == "access") & (links["direction"] == "up") & links["link"].str.startswith("edge-")]
    seconds = up.groupby([*run, "t_s"]).agg(bytes=("carried_bytes", "sum"), length=("interval_s", "first"))
    rates = (seconds["bytes"] * 8e-6 / seconds["length"]).groupby(run)
    values = {
        "speed_mbps.p50": whole.groupby(run)["speed_mbps"].quantile(0.5).to_dict(),
        "peer_efficiency.bytes": (sums["peer_bytes"] / (sums["peer_bytes"] + sums["edge_bytes"])).to_dict(),
        "bytes.inter_as": crossed.groupby([transfers["arm"], transfers["repeat"]]).sum().to_dict(),
        "as.gini": {key: gini(group) for key, group in tables["ases"].groupby(run)},
        "edge_p95_egress_mbps": rates.quantile(0.95).to_dict(),
    }
    return {f"{name}.parquet": len(table) for name, table in tables.items()}, values


def with_polars(directory):
    import polars
    from polars import col

    tables = {file.stem: polars.read_parquet(file) for file in directory.glob("*.parquet")}
    run = ["arm", "repeat"]

    def by_run(table, value):
        return {(arm, repeat): value for arm, repeat, value in table.group_by(run).agg(value.alias("value")).iter_rows()}

    # Both are unsigned: signed, or small ranks would wrap around.
    n = polars.len().cast(polars.Int64)
    rank = 2 * col("sent_bytes").rank("ordinal").cast(polars.Int64) - n - 1
    between = (col("source_role") == "peer") & (col("source_as") != col("destination_as"))
    crossed = polars.max_horizontal("sent_bytes", "received_bytes").filter(between)
    is_up = (col("class") == "access") & (col("direction") == "up") & col("link").str.starts_with("edge-")
    seconds = tables["links"].filter(is_up).group_by([*run, "t_s"])
    seconds = seconds.agg((col("carried_bytes").sum() * 8e-6 / col("interval_s").first()).alias("mbps"))
    whole = tables["downloads"].filter(col("status") == "completed")
    values = {
        "speed_mbps.p50": by_run(whole, col("speed_mbps").quantile(0.5, interpolation="linear")),
        "peer_efficiency.bytes": by_run(
            tables["downloads"], col("peer_bytes").sum() / (col("peer_bytes").sum() + col("edge_bytes").sum())
        ),
        "bytes.inter_as": by_run(tables["transfers"], crossed.sum()),
        "as.gini": by_run(tables["ases"], (rank * col("sent_bytes")).sum() / (n * col("sent_bytes").sum())),
        "edge_p95_egress_mbps": by_run(seconds, col("mbps").quantile(0.95, interpolation="linear")),
    }
    return {f"{name}.parquet": table.height for name, table in tables.items()}, values


def figure(part, key):
    for word in key.split("."):
        part = part[word]
    return part


def plain(value):
    """Undefined is None, whatever the tool calls it."""
    return None if value is None or math.isnan(value) else float(value)


def same(one, other):
    return one == other if None in (one, other) else math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def main():
    tool, directory = sys.argv[1], Path(sys.argv[2])
    read = {"duckdb": with_duckdb, "pandas": with_pandas, "polars": with_polars}[tool]
    rows, values = read(directory)
    summary = json.loads((directory / "summary.json").read_text())
    wrong = [f"{table} has no rows" for table, count in rows.items() if count == 0]
    compared = 0
    for arm, found in summary["arms"].items():
        for key in FIGURES:
            of_runs = []
            for run in found["runs_detail"]:
                expected, value = plain(figure(run, key)), plain(values[key].get((arm, run["repeat"])))
                if key == "bytes.inter_as" and value is None:
                    value = 0.0  # the sum of nothing, in SQL
                of_runs.append(value)
                compared += 1
                if not same(value, expected):
                    wrong.append(f"{key} of {arm}/{run['repeat']}: {value} by {tool}, {expected} in summary.json")
            of_runs = [value for value in of_runs if value is not None]
            middle = plain(statistics.median(of_runs)) if of_runs else None
            if not same(middle, plain(figure(found, key))):
                wrong.append(f"{key} of {arm}: the median over runs is {middle} by {tool}, not {figure(found, key)}")
    print(f"{tool}: {len(rows)} tables with {sum(rows.values())} rows, {compared} values compared")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
