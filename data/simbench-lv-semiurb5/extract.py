"""Make this folder's CSV files from the SimBench grid `1-LV-semiurb5--1-sw`.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python extract.py

The files come out the same, byte for byte, on every run. README.md says what is in them.
"""

import csv
import gzip
import io
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import networkx
import simbench

GRID = "1-LV-semiurb5--1-sw"
HERE = Path(__file__).resolve().parent
PPM = 1_000_000
APPLIANCE_PROFILES = {"HLS": "ev", "APLS": "ev", "Air": "heat pump", "Soil": "heat pump"}


def main() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    net = simbench.get_simbench_net(GRID)
    feeders = feeders_of(net)
    zones = zone_rows(net, feeders)
    zone_of_bus = {bus: zone for zone, (_, buses) in enumerate(feeders, start=2) for bus in buses}
    elements = sorted(element_rows(net, zone_of_bus))
    write_csv(HERE / "zones.csv", ("zone", "parent", "name", "rating_va"), zones)
    write_csv(HERE / "elements.csv", ("bus", "zone", "kind", "profile", "power_w", "energy_wh"), elements)
    write_profiles(net, sorted({profile for *_, profile, _, _ in elements if profile}))


def feeders_of(net) -> list[tuple[int, set[int]]]:
    """The feeders as (first line, buses), longest first, once the switches have been applied.

    Raises ValueError where the grid is not one transformer feeding a tree: then zones in a tree
    would not be the physics.
    """
    graph = closed_lines(net)
    busbar = int(net.trafo.lv_bus.iloc[0])
    if len(net.trafo) != 1 or not net.switch[net.switch.et == "t"].closed.all() or not networkx.is_tree(graph):
        raise ValueError(f"{GRID} is not a tree below one closed transformer")
    first_lines = {bus: data["line"] for _, bus, data in graph.edges(busbar, data=True)}
    graph.remove_node(busbar)
    feeders = [
        (next(line for bus, line in first_lines.items() if bus in buses), buses)
        for buses in networkx.connected_components(graph)
    ]
    return sorted(feeders, key=lambda feeder: (-len(feeder[1]), feeder[0]))


def closed_lines(net) -> networkx.MultiGraph:
    """The low-voltage buses joined by every line in service that no open switch interrupts."""
    opened = set(net.switch[(net.switch.et == "l") & ~net.switch.closed].element)
    graph = networkx.MultiGraph()
    for index, line in net.line.iterrows():
        if line.in_service and index not in opened:
            graph.add_edge(line.from_bus, line.to_bus, line=index)
    return graph


def zone_rows(net, feeders: list[tuple[int, set[int]]]) -> list[tuple[int, int, str, int]]:
    """Zone, parent, name and rating (VA) of the zone's line to its parent."""
    transformer = round(net.trafo.sn_mva.iloc[0] * 1e6)
    rows = [(0, -1, "upstream grid", 0), (1, 0, "busbar", transformer)]
    for zone, (line, _) in enumerate(feeders, start=2):
        first = net.line.loc[line]
        volts = net.bus.vn_kv[first.from_bus] * 1e3
        amperes = first.max_i_ka * 1e3 * first.parallel * first.df
        rows.append((zone, 1, f"feeder {zone - 1}", math.floor(amperes * volts * math.sqrt(3))))
    return rows


def element_rows(net, zone_of_bus: dict[int, int]) -> Iterable[tuple[int, int, str, str, int, int]]:
    """Bus, zone, kind, profile, power (W) and, for a battery, its energy (Wh)."""

    def place(bus: int) -> tuple[int, int]:
        return int(net.bus.name[bus].rsplit(" ", 1)[1]), zone_of_bus[bus]

    for load in net.load.itertuples():
        kind = APPLIANCE_PROFILES.get(load.profile.split("_")[0], "household")
        if kind == "household" and not load.profile.startswith("H0"):
            kind = "business"
        yield (*place(load.bus), kind, load.profile, round(load.p_mw * 1e6), 0)
    for pv in net.sgen.itertuples():
        yield (*place(pv.bus), "pv", pv.profile, round(pv.p_mw * 1e6), 0)
    for battery in net.storage.itertuples():
        power, energy = round(abs(battery.p_mw) * 1e6), round(battery.max_e_mwh * 1e6)
        yield (*place(battery.bus), "battery", "", power, energy)


def write_profiles(net, names: Sequence[str]) -> None:
    """One column per profile, one row per quarter of an hour, in millionths of the element's power."""
    loads, generation = net.profiles["load"], net.profiles["renewables"]
    columns = [generation[name] if name in generation else loads[f"{name}_pload"] for name in names]
    rows = zip(*((column * PPM).round().astype(int) for column in columns), strict=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    compressed = gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0)
    (HERE / "profiles.csv.gz").write_bytes(compressed)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
