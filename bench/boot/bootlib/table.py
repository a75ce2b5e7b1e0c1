"""Figures of many runs: medians, spreads, ratios within the same run, one table; and what got worse since a saved one."""
import statistics

# key, heading, unit of the format; the first of them that an arrangement has is what it is about
FIGURES = (("reaction_ms", "last event to launch, ms", "%.1f"), ("boot_ms", "init to launch, ms", "%.0f"),
           ("processes", "processes", "%.0f"), ("cpu_ms", "CPU, ms", "%.0f"), ("peak_kb", "peak, KiB", "%.0f"),
           ("image_kb", "image, KiB", "%.0f"), ("bare_kb", "equal contents, KiB", "%.0f"))
# What the schedule or the contender's own order of drivers decides is printed, but is no ground for a ratio: with hot-plug the
# time from init is mostly waiting for the plug, and with all there at boot the last event is whatever was loaded last.
NOT_COMPARED = {True: "reaction_ms", False: "boot_ms"}
# Differences of a tick, of a handful of processes are no news, whatever their ratio is.
GRAIN = {"reaction_ms": 1.0, "boot_ms": 10.0, "processes": 1.0, "cpu_ms": 20.0, "peak_kb": 256.0, "image_kb": 16.0,
         "bare_kb": 16.0}


def _ratio(rows, name, other, key):
    """The median of the ratios to `other`, each within one run."""
    ratios = []
    for run, figures in rows.get(name, {}).items():
        base = rows.get(other, {}).get(run, {}).get(key)
        if base and figures.get(key) is not None:
            ratios.append(figures[key] / base)
    return statistics.median(ratios) if ratios else None


def summarise(results, cold):
    """arrangement -> contender -> runs, good, notes, and figure -> {median, low, high, and ratios: to muster, to the floor,
    and of muster to this one}. cold: the arrangements in which all is there at boot."""
    summary = {}
    for arrangement in dict.fromkeys(r["arrangement"] for r in results):
        here = [r for r in results if r["arrangement"] == arrangement]
        rows = {}
        for r in here:
            if not r["bad"]:
                rows.setdefault(r["contender"], {})[r["run"]] = r
        summary[arrangement] = {}
        for name in dict.fromkeys(r["contender"] for r in here):
            entry = {"runs": sum(r["contender"] == name for r in here), "good": len(rows.get(name, {})), "figures": {},
                     "upcalls": _median([r.get("upcalls") for r in rows.get(name, {}).values()]),
                     "notes": list(dict.fromkeys(b for r in here if r["contender"] == name for b in r["bad"]))}
            for key, _, _ in FIGURES:
                values = [r[key] for r in rows.get(name, {}).values() if r.get(key) is not None]
                if values:
                    compared = key != NOT_COMPARED[arrangement in cold]
                    entry["figures"][key] = {"median": statistics.median(values), "low": min(values), "high": max(values),
                                             "muster": _ratio(rows, name, "muster", key) if compared else None,
                                             "floor": _ratio(rows, name, "floor", key) if compared else None,
                                             "of_muster": _ratio(rows, "muster", name, key) if compared else None}
            summary[arrangement][name] = entry
    return summary


def _median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def _times(ratio):
    return "–" if ratio is None else "%.0f" % ratio if ratio >= 10 else "%.2f" % ratio


def printed(summary, titles):
    lines = ["Each figure is median ±half the range of its runs, then its ratio (to muster / to the floor) within the same run.",
             "In `processes`, what the kernel started by itself to get a module is the number behind the +.", ""]
    for arrangement, contenders in summary.items():
        lines += ["### %s: %s" % (arrangement, titles.get(arrangement, "")), "",
                  "| contender | runs | " + " | ".join(heading for _, heading, _ in FIGURES) + " |",
                  "|---|---|" + "---|" * len(FIGURES)]
        for name, entry in contenders.items():
            cells = []
            for key, _, form in FIGURES:
                figure = entry["figures"].get(key)
                if not figure:
                    cells.append("–")
                    continue
                half = (figure["high"] - figure["low"]) / 2
                text = form % figure["median"]
                if key == "processes":
                    text += "+%.0f" % (entry["upcalls"] or 0)
                elif key not in ("image_kb", "bare_kb"):
                    text += " ±" + form % half
                ratios = (figure["muster"], figure["floor"])
                cells.append(text if ratios == (None, None) else "%s (%s / %s)" % (text, *map(_times, ratios)))
            lines.append("| %s | %d/%d | %s |" % (name, entry["good"], entry["runs"], " | ".join(cells)))
        notes = ["* %s: **BAD** %s" % (name, note) for name, entry in contenders.items() for note in entry["notes"]]
        lines += ([""] + notes if notes else []) + [""]
    return "\n".join(lines)


def regressions(now, before, tolerance):
    """Lines about every ratio of muster to another that is worse than it was by more than the tolerance."""
    found = []
    for arrangement, contenders in now.items():
        earlier = before.get(arrangement, {})
        mine, mine_before = contenders.get("muster"), earlier.get("muster")
        if not mine or not mine_before:
            continue
        if mine["good"] < mine["runs"] and mine_before["good"] == mine_before["runs"]:
            found.append("%s: muster has bad runs, and had none" % arrangement)
        for key, heading, _ in FIGURES:
            if key not in mine["figures"] or key not in mine_before["figures"]:
                continue
            for other in contenders:
                if other == "muster" or key not in contenders[other]["figures"] or \
                        key not in earlier.get(other, {}).get("figures", {}):
                    continue
                ratio, old = (e[other]["figures"][key]["of_muster"] for e in (contenders, earlier))
                if not ratio or not old:
                    continue
                grown = mine["figures"][key]["median"] - mine_before["figures"][key]["median"]
                if ratio > old * (1 + tolerance) and grown > GRAIN[key]:
                    found.append("%s: %s: %s times that of %s, was %s times" % (
                        arrangement, heading, _times(ratio), other, _times(old)))
    return found
