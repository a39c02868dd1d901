"""Write the measured sections of docs/reliability.md: `python reliability_page.py faults.xml` writes the faults.

faults.xml is what pytest writes with `-m fault --junitxml=faults.xml`; a test's mark `fault` says which fault it plants
and what Tropho does.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_section(name: str, text: str) -> None:
    """Replace what stands between the marks of a section."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def fault_table(results: Path) -> str:
    """Faults, what Tropho does, the test that holds it and what came of it, from a JUnit file."""
    outcomes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314 - written by pytest, here
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        module = case.attrib["classname"].replace(".", "/")
        test = f"`{module}.py` {case.attrib['name'].split('[')[0]}"
        for each in case.iter("property"):
            if each.attrib["name"] == "fault":
                fault, does = each.attrib["value"].split(" -> ")
                outcomes[fault, does, test].append(outcome)
    rows = [
        [*key, ", ".join(f"{found.count(each)} {each}" for each in sorted(set(found)))]
        for key, found in outcomes.items()
    ]
    return table(["fault", "what Tropho does", "test", "outcome"], rows)


if __name__ == "__main__":
    write_section("faults", fault_table(Path(sys.argv[1])))
