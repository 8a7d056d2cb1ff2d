"""Convert the records of a run to RESULTS.md: medians, ratios within repetitions, and the targets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["render"]

MIB = 1 << 20
_STEPS = ("build", "publish v1", "cold install", "install again", "publish v2", "upgrade", "path from an app")
_NOTHING = "-"
_OURS = "orbitpkg"
_TAR = "tar, zstd, s5cmd cp"
_GET = "limit: ranged GET"
_PIPELINE = "limit: GET, decompress, digest, write"
_TABLES = {"site": "a web server nearby", "far": "a web server far away", "store": "an object store nearby"}

_Record = dict[str, Any]


def render(records: Sequence[_Record]) -> str:
    """Write the report."""
    run = _Run(records)
    sections = [
        _head(run),
        _targets(run),
        *(_server(run, table) for table in ("store", "site", "far") if run.peers(table)),
        _skipped(run),
        _starting(run),
        _growing(run),
        _costing(run),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


class _Run:
    """The records, with queries by kind, table, tool and step."""

    def __init__(self, records: Sequence[_Record]) -> None:
        self.records = records
        self._steps: dict[tuple[str, str, str], dict[int, _Record]] = defaultdict(dict)
        for record in self.of("step"):
            self._steps[record["table"], record["peer"], record["step"]][record["repetition"]] = record

    def of(self, kind: str) -> list[_Record]:
        return [record for record in self.records if record["kind"] == kind]

    def one(self, kind: str) -> _Record:
        return next(iter(self.of(kind)), {})

    def peers(self, table: str) -> list[str]:
        return list(dict.fromkeys(peer for place, peer, _ in self._steps if place == table))

    def tools(self, table: str) -> list[str]:
        return [peer for peer in self.peers(table) if not peer.startswith("limit")]

    def others(self, table: str) -> list[str]:
        return [peer for peer in self.tools(table) if peer != _OURS]

    def values(self, table: str, peer: str, step: str, value: Callable[[_Record], float | None]) -> dict[int, float]:
        found = {number: value(record) for number, record in self._steps.get((table, peer, step), {}).items()}
        return {number: there for number, there in found.items() if there is not None}

    def median(self, table: str, peer: str, step: str, value: Callable[[_Record], float | None]) -> float | None:
        values = self.values(table, peer, step, value)
        return median(values.values()) if values else None


def _wall(record: _Record) -> float:
    return float(record["wall"])


def _cpu(record: _Record) -> float:
    return float(record["user"] + record["system"])


def _memory(record: _Record) -> float:
    return float(record["memory"]) / MIB


def _server_cpu(record: _Record) -> float:
    return float(record["server"])


def _received(record: _Record) -> float | None:
    return None if record["received"] is None else float(record["received"])


def _sent(record: _Record) -> float | None:
    return None if record["sent"] is None else float(record["sent"])


def _wire(record: _Record) -> float | None:
    """Return the bytes that a publisher sends or an installer receives."""
    value = _sent(record) if record["step"].startswith("publish") else _received(record)
    return None if value is None else value / MIB


# Tables.


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"  # noqa: PLR2004


def _head(run: _Run) -> str:
    machine, data = run.one("machine"), run.one("data")
    if not machine:
        return "# Results"
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return f"""# Results

Written by a run of the benchmark; [README.md](README.md) describes what is measured and how.

- {machine["date"]}, commit {machine["commit"]}, `{machine["command"]}`
- {machine["processor"]}, {machine["cores"]} cores, {machine["memory"]}; {machine["system"]}; Python {machine["python"]}
- {versions}
- Data at scale {machine["scale"]:g}: {data.get("bytes", 0) / MIB:,.0f} MiB, of which version 2 changes \
{data.get("changed", 0) / MIB:.2f} MiB. The archive of version 1 has {data.get("archive", 0) / MIB:,.0f} MiB; the \
chunks of version 2 that version 1 lacks have {data.get("chunks", 0) / MIB:.2f} MiB, its contents \
{data.get("contents", 0) / MIB:.2f} MiB.
- {machine["repetitions"]} repetitions, each with all tools; the figures are medians."""


def _server(run: _Run, table: str) -> str:
    servers = [record for record in run.of("server") if record["table"] == table]
    steps = [step for step in _STEPS if any(run.values(table, peer, step, _wall) for peer in run.tools(table))]
    where = f"## {_TABLES[table][0].upper()}{_TABLES[table][1:]}\n\n{servers[0]['name']}; {servers[0]['link']}."
    tables = [
        where,
        _metric(run, table, steps, "Seconds", _wall),
        _metric(run, table, steps, "Processor seconds of the client", _cpu),
        _metric(run, table, steps, "Processor seconds of the server", _server_cpu),
        _metric(run, table, steps, "MiB of memory of the largest process", _memory),
        _metric(run, table, steps, "MiB over the wire: sent by publishing, received by installing", _wire),
        _bucket(run) if table == "store" else "",
        _limits(run, table),
        _spread(run, table),
    ]
    return "\n\n".join(part for part in tables if part)


def _metric(run: _Run, table: str, steps: Sequence[str], title: str, value: Callable[[_Record], float | None]) -> str:
    if not any(run.values(table, _OURS, step, value) for step in steps):
        return f"**{title}**: n/a" if run.tools(table) == [_OURS] or value is _wire else ""
    rows = [[peer, *(_number(run.median(table, peer, step, value)) for step in steps)] for peer in run.tools(table)]
    return _grid([f"**{title}**", *steps], rows)


def _bucket(run: _Run) -> str:
    rows = []
    flips = {record["peer"]: record["noticed"] for record in run.of("flip")}
    for peer in run.tools("store"):
        sizes = [
            [record["bytes"] / MIB for record in run.of("bucket") if (record["peer"], record["step"]) == (peer, step)]
            for step in ("publish v1", "publish v2")
        ]
        medians = [_number(median(size)) if size else _NOTHING for size in sizes]
        rows.append([peer, *medians, flips.get(peer, _NOTHING)])
    return _grid(["", "MiB in the bucket after v1", "after v2", "detects a flipped byte"], rows)


def _limits(run: _Run, table: str) -> str:
    rows = [
        [peer, _number(run.median(table, peer, "cold install", _wall)), _number(cpu), _number(cpu / _cores(run))]
        for peer in run.peers(table)
        if peer.startswith("limit") and (cpu := run.median(table, peer, "cold install", _cpu)) is not None
    ]
    return _grid(["**Limits**", "seconds", "processor seconds", "those over the cores"], rows) if rows else ""


def _cores(run: _Run) -> int:
    return int(run.one("machine").get("cores", 1))


def _spread(run: _Run, table: str) -> str:
    walls = [
        values
        for peer in run.tools(table)
        for step in _STEPS
        if len(values := list(run.values(table, peer, step, _wall).values())) > 1
    ]
    if not walls:
        return ""
    shares = sorted((max(values) - min(values)) / median(values) for values in walls)
    return f"Between repetitions, a step's seconds differ by {median(shares):.0%} (median), {shares[-1]:.0%} (maximum)."


def _skipped(run: _Run) -> str:
    lines = dict.fromkeys(f"- {record['what']}: {_one_line(record['reason'])}" for record in run.of("skipped"))
    return "\n".join(["## Skipped", "", *lines]) if lines else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


# Targets.


@dataclass(frozen=True, slots=True)
class _Target:
    what: str
    was: float | None
    bound: float
    unit: str = "x"

    def row(self) -> list[str]:
        if self.was is None:
            return [self.what, f"≤ {self.bound:g} {self.unit}", "not measured", ""]
        short = "" if self.was <= self.bound else f"missed by {_number(self.was - self.bound)} {self.unit}"
        return [self.what, f"≤ {_number(self.bound)} {self.unit}", f"{_number(self.was)} {self.unit}", short or "met"]


def _targets(run: _Run) -> str:
    if not run.one("machine"):
        return ""
    rows = [target.row() for target in _all_targets(run)]
    return "## Targets\n\n" + _grid(["", "target", "measured", "result"], rows)


def _all_targets(run: _Run) -> list[_Target]:
    data = run.one("data")
    changed, contents = data.get("changed", 0), data.get("contents", 0)
    upgrade = run.median("site", _OURS, "upgrade", _received)
    if upgrade is None:
        upgrade = run.median("store", _OURS, "upgrade", _received)
    sent = run.median("store", _OURS, "publish v2", _sent)
    memory = [_memory(record) for record in run.of("step") if record["peer"] == _OURS]
    return [
        *(target for table in _TABLES for target in _install_targets(run, table)),
        _best_target(run, "store", "publish v2", "publish v2, client's processor time", value=_cpu, bound=0.5),
        _ratio_target(run, "store", "publish v1", "publish v1", peer=_TAR, bound=1.0),
        _Target("upgrade: MiB received, against 1.15 (changed bytes + contents)",
                upgrade / MIB if upgrade is not None else None, 1.15 * (changed + contents) / MIB, "MiB"),
        _Target("publish v2: MiB sent, against 1.3 changed bytes + 10 MiB",
                sent / MIB if sent is not None else None, 1.3 * changed / MIB + 10, "MiB"),
        _Target("memory, maximum of all steps", max(memory) if memory else None, 200, "MiB"),
        *_growth_targets(run),
    ]  # fmt: skip


def _install_targets(run: _Run, table: str) -> list[_Target]:
    if not run.tools(table):
        return []
    where = f" ({_TABLES[table]})"
    limit = {
        number: max(wall, cpu / _cores(run))
        for number, wall in run.values(table, _GET, "cold install", _wall).items()
        if (cpu := run.values(table, _PIPELINE, "cold install", _cpu).get(number)) is not None
    }
    ours = run.values(table, _OURS, "cold install", _wall)
    return [
        _best_target(run, table, "cold install", f"cold install{where}", value=_wall, bound=1.0),
        _ratio_target(run, table, "cold install", f"cold install{where}", peer=_TAR, bound=0.6),
        _Target(f"cold install{where} / the limit", _ratio(ours, limit), 1.3),
        _best_target(run, table, "upgrade", f"upgrade{where}", value=_wall, bound=0.5),
    ]


def _ratio(ours: dict[int, float], theirs: dict[int, float]) -> float | None:
    ratios = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number]]
    return median(ratios) if ratios else None


def _ratio_target(run: _Run, table: str, step: str, what: str, *, peer: str, bound: float) -> _Target:
    ours, theirs = (run.values(table, name, step, _wall) for name in (_OURS, peer))
    return _Target(f"{what} / {peer}", _ratio(ours, theirs), bound)


def _best_target(
    run: _Run, table: str, step: str, what: str, *, value: Callable[[_Record], float], bound: float
) -> _Target:
    medians = {peer: there for peer in run.others(table) if (there := run.median(table, peer, step, value)) is not None}
    if not medians:
        return _Target(f"{what} / the best peer", None, bound)
    best = min(medians, key=lambda peer: medians[peer])
    ratio = _ratio(run.values(table, _OURS, step, value), run.values(table, best, step, value))
    return _Target(f"{what} / the best peer, {best}", ratio, bound)


def _growth_targets(run: _Run) -> list[_Target]:
    large = [record for record in run.of("growth") if record["group"] == "large"]
    size = large[0]["size"] if large else "8 GiB"
    most = max(map(_memory, large)) if large else None
    targets = [_Target(f"memory at {size}, maximum of all steps", most, 200, "MiB")]
    started = {record["what"]: record for record in run.of("start")}
    for what, record in started.items():
        if record.get("bound"):
            targets.append(_Target(f"start-up: {what}", record["value"], record["bound"], record["unit"]))
    return targets


# Start-up and growth.


def _starting(run: _Run) -> str:
    rows = [
        [record["what"], f"{_number(record['value'])} {record['unit']}", f"{_number(record['least'])}"]
        for record in run.of("start")
    ]
    head = f"## Start-up\n\n{_begun(run, 'growth')}Medians of 20 runs, taken in turn.\n\n"
    return head + _grid(["", "median", "minimum"], rows) if rows else ""


def _begun(run: _Run, part: str) -> str:
    """Describe the run behind a section, which can differ from the run of the tables."""
    begun = next((record for record in run.of("begun") if record["part"] == part), None)
    return f"`{begun['command']}`, {begun['date']}, commit {begun['commit']}.\n\n" if begun else ""


def _growing(run: _Run) -> str:
    groups: dict[str, list[_Record]] = defaultdict(list)
    for record in run.of("growth"):
        groups[record["group"]].append(record)
    return "\n\n".join(["## Growth", *(_group(rows) for rows in groups.values())]) if groups else ""


def _group(records: Sequence[_Record]) -> str:
    steps = list(dict.fromkeys(record["step"] for record in records))
    sizes = list(dict.fromkeys(record["size"] for record in records))
    cells: dict[tuple[str, str], list[_Record]] = defaultdict(list)
    for record in records:
        cells[record["size"], record["step"]].append(record)

    def cell(size: str, step: str) -> str:
        there = cells[size, step]
        if not there:
            return _NOTHING
        wall, cpu = (median(value(record) for record in there) for value in (_wall, _cpu))
        return f"{_number(wall)} s, {_number(cpu)} cpu, {max(map(_memory, there)):.0f} MiB"

    rows = [[size, *(cell(size, step) for step in steps)] for size in sizes]
    return _grid([f"**{records[0]['title']}**", *steps], rows)


def _costing(run: _Run) -> str:
    """Show the costs measured within a process: those of the resolver and the index."""
    groups: dict[str, list[_Record]] = defaultdict(list)
    for record in run.of("cost"):
        groups[record["group"]].append(record)
    tables = [_curve(rows) for rows in groups.values()]
    head = (
        f"## Choosing versions\n\n{_begun(run, 'resolver')}"
        "Processor seconds within a process: the median of several runs, and the maximum."
    )
    return "\n\n".join([head, *tables]) if tables else ""


def _curve(records: Sequence[_Record]) -> str:
    steps = list(dict.fromkeys(record["step"] for record in records))
    sizes = list(dict.fromkeys(record["size"] for record in records))
    cells = {(record["size"], record["step"]): record for record in records}

    def cell(size: str, step: str) -> str:
        record = cells.get((size, step))
        return _NOTHING if record is None else f"{record['value']:.3f} s, {record['most']:.3f}"

    rows = [[size, *(cell(size, step) for step in steps)] for size in sizes]
    return _grid([f"**{records[-1]['title']}**", *steps], rows)
