"""The HTML report, read as a file and as a reader sees it in a real browser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from baqup_agent.conformance.junit import to_junit
from baqup_agent.conformance.report import Outcome, Report, Result
from baqup_agent.conformance.report_html import to_html
from baqup_agent.conformance.timeline import Entry
from tests.conformance import browser, reports
from tests.conformance.judging import HERE, judge
from tests.conformance.mutants import CONTRACT

_VOID = {"meta", "input", "link", "img", "br", "hr"}


class Reader(HTMLParser):
    """Reads a page: the tags, their attributes, and that each is closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def with_attribute(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[browser.Page]:
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def shown(page: browser.Page, report: Report, folder: Path, **taste) -> None:
    path = folder / "report.html"
    path.write_text(to_html(report), "utf-8")
    page.open(path, **taste)


def words_of_junit(report: Report) -> Counter[str]:
    cases = ET.fromstring(to_junit(report).partition("\n")[2]).iter("testcase")
    return Counter(case[0].tag if len(case) else "pass" for case in cases)


# -- the file -----------------------------------------------------------------------------


def test_the_page_needs_nothing_beside_itself():
    """It has no script, no handler, and no address but its own anchors."""

    reader = Reader(to_html(reports.of_every_kind(hostile=reports.HOSTILE)))

    assert {"script", "link", "img", "iframe", "object", "base", "b#evil"}.isdisjoint(
        tag for tag, _ in reader.tags
    )
    assert all(one["href"].startswith("#") for one in reader.with_attribute("href"))
    assert reader.with_attribute("src") == []
    assert not any(name.startswith("on") for _, each in reader.tags for name in each)


def test_no_style_sheet_leads_outside():
    """Neither an import nor an address stands in its style sheet."""

    text = to_html(reports.of_every_kind())

    assert "@import" not in text
    assert "url(" not in text
    assert re.findall(r"https?://", text) == []


def test_every_anchor_leads_to_a_check():
    """Each cell of the matrix leads to what is known of its check."""

    reader = Reader(to_html(reports.of_every_kind()))
    names = [one["id"] for one in reader.with_attribute("id")]

    assert len(names) == len(set(names))
    links = {one["href"].removeprefix("#") for one in reader.with_attribute("href")}
    assert links == {name for name in names if "-" in name and name[1] != "-"}


def test_what_does_not_show_is_written_out():
    """Control characters and marks that turn the reading direction become escapes."""

    text = to_html(reports.of_every_kind(hostile=reports.HOSTILE))

    assert "\\u202e\\x00\\x1b[31m" in text
    assert not re.search("[\x00\x1b\u202e]", text)


def test_a_long_run_is_cut_in_the_middle():
    """The beginning and the end of a timeline are shown, what is left out is counted."""

    many = [Entry(101.8, "stderr", f"line {number}") for number in range(20_000)]
    result = Result(
        reports.check("signals/16/term"), Outcome.FAIL, "late", (), (reports.run(*many),) * 30
    )
    text = to_html(reports.report(result))

    assert "line 0<" in text
    assert "line 19999<" in text
    assert "line 10000<" not in text
    assert "19812 entries are left out" in text
    assert "26 runs before these" in text
    assert len(text) < 2_000_000


# -- as a reader sees it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "verdict", "sign"),
    [
        (reports.report(Result(reports.check("contract/1/info"), Outcome.PASS)), "conforms", "✓"),
        (reports.of_every_kind(), "does not conform", "✗"),
        (
            reports.report(Result(reports.check("contract/1/info"), Outcome.ERROR, "no idea")),
            "could not be judged",
            "!",
        ),
    ],
)
def test_the_verdict_stands_on_top(page, tmp_path, report, verdict, sign):
    """The first heading says in words and by a sign what came of it."""

    shown(page, report, tmp_path)

    assert page.texts("h1") == [f"agent-x 1.2 {verdict}"]
    assert page.texts(".big") == [sign]
    assert page.ask("document.title") == f"agent-x 1.2 {verdict}"
    assert page.ask("document.querySelector('.verdict').getBoundingClientRect().top") < 60


def test_the_matrix_has_a_cell_for_each_check(page, tmp_path):
    """By section, with number and sign; a check of several rounds shows its worst."""

    shown(page, reports.of_every_kind(), tmp_path)

    assert page.texts(".section h3") == ["contract", "signals", "storage", "logs"]
    cells = [text.split("\n")[:2] for text in page.texts(".cell")]
    assert [[one[0], one[1].strip()] for one in cells] == [
        ["✓", "1"], ["↷", "3"], ["✗", "16"], ["△", "19"], ["\N{EN DASH}", "20"], ["!", "40"],
        ["✗", "46"],
    ]  # fmt: skip


def test_a_failure_shows_its_evidence(page, tmp_path):
    """What was seen, the rule, its source, what to do, and the run as strip and table."""

    shown(page, reports.of_every_kind(), tmp_path)
    card = page.texts(".card:has(#signals-16-term)")[0]

    for words in ("signals/16/term", "It holds.", "Contract §1", "Mend it.", "MUST · tier A",
                  "it ended with exit code 0", "a line of evidence", "SIGTERM", "exit code 1",
                  '{"status": "failed"'):  # fmt: skip
        assert words in card, words
    lanes = page.ask(
        "[...document.querySelector('#signals-16-term').parentElement"
        ".querySelectorAll('.strip .lane')].map(one => one.textContent)"
    )
    assert lanes == ["state", "bus", "signals", "messages", "files", "output"]


def test_the_strip_is_to_scale(page, tmp_path):
    """A signal halfway through a run is drawn halfway, and lasting states touch each other."""

    shown(page, reports.of_every_kind(), tmp_path)
    boxes = page.ask(
        """(() => { const svg = document.querySelector('.strip');
        const box = name => { const at = svg.querySelector(name).getBoundingClientRect();
            return [at.left, at.right] };
        const lines = svg.querySelectorAll('.grid');
        const first = lines[0].getBoundingClientRect().left;
        return { zero: first, end: box('.end')[0], signal: box('.k-signal'),
            initializing: box('.s-initializing'), running: box('.s-running') } })()"""
    )
    middle = sum(boxes["signal"]) / 2

    assert abs((middle - boxes["zero"]) / (boxes["end"] - boxes["zero"]) - 0.5) < 0.01
    assert abs(boxes["initializing"][1] - boxes["running"][0]) < 1


def test_an_error_of_the_suite_blames_no_agent(page, tmp_path):
    """Its card says whose fault it is."""

    shown(page, reports.of_every_kind(), tmp_path)

    assert "not of the agent" in page.texts(".card:has(#storage-40-manifest)")[0]


@pytest.mark.parametrize(
    ("pressed", "left"),
    [
        (["#v-fail"], ["signals/16/term", "logs/46/lines"]),
        (["#v-warned"], ["signals/19/twice"]),
        (["#l-should"], ["signals/19/twice"]),
        (["#v-pass", "#l-must"], ["contract/1/info"]),
        (["#v-pass", "#l-should"], []),
    ],
)
def test_the_filter_works_without_a_script(page, tmp_path, pressed, left):
    """Buttons leave the checks of a verdict and a level, and say so if there are none."""

    shown(page, reports.of_every_kind(), tmp_path)
    assert len(page.texts(".card")) == 7
    for button in pressed:
        page.click(button)

    assert page.texts(".card .id") == left
    assert len(page.texts(".nothing")) == (not left)
    faded = page.ask("[...document.querySelectorAll('.matrix li')]"
                     ".filter(one => getComputedStyle(one).opacity < 1).length")  # fmt: skip
    assert faded == 7 - len(left)


def test_a_cell_opens_its_check(page, tmp_path):
    """A cell of the matrix leads to the check's card and opens it."""

    shown(page, reports.of_every_kind(), tmp_path)
    opened = "document.querySelector('.card:has(#contract-1-info) > details').open"
    assert page.ask(opened) is False
    page.click("a[href='#contract-1-info']")

    assert page.ask(opened) is True


def test_hostile_texts_stay_texts(page, tmp_path):
    """An agent that prints markup and scripts is shown doing so; nothing of it runs or loads."""

    shown(page, reports.of_every_kind(hostile=reports.HOSTILE), tmp_path)

    assert page.ask("document.title") == "agent-x 1.2 does not conform"
    assert page.ask("document.querySelectorAll('script, img, #evil').length") == 0
    assert any("<script>document.title" in text for text in page.texts("pre"))
    assert "<script>document.title" in page.texts(".again code")[0].replace("\n", " ")
    assert page.complaints == []
    assert [one for one in page.requests if not one.endswith("report.html")] == []


def test_the_page_s_policy_forbids_scripts(page, tmp_path):
    """Should a text ever become markup, the browser refuses to run it."""

    path = tmp_path / "broken.html"
    text = to_html(reports.of_every_kind())
    path.write_text(text.replace("<footer>", "<script>document.title='owned'</script><footer>"))
    page.open(path)

    assert page.ask("document.title") == "agent-x 1.2 does not conform"
    assert any("Content Security Policy" in one for one in page.complaints)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360], ids=["desktop", "narrow"])
def test_the_page_can_be_read(page, tmp_path, dark, width):
    """Text stands out from what is behind it by 4.5 to 1, and no page runs out to the side."""

    report = reports.of_every_kind(hostile=reports.HOSTILE * 3)
    shown(page, report, tmp_path, dark=dark, width=width)
    poor = page.ask(_CONTRAST)

    assert poor == []
    assert page.ask("document.documentElement.scrollWidth") <= width


#: What is written on what, with a contrast below the least of WCAG's level AA.
_CONTRAST = """(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = text => { const [r, g, b] = parts(text).slice(0, 3).map(one => {
    const c = one / 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 });
    return .2126 * r + .7152 * g + .0722 * b };
  const behind = one => { for (; one; one = one.parentElement) {
    const found = getComputedStyle(one).backgroundColor; const alpha = parts(found)[3];
    if (alpha === undefined || alpha === 1) return found } return 'rgb(255, 255, 255)' };
  return [...document.body.querySelectorAll('*')].filter(one => one.checkVisibility()
      && !one.closest('svg, .unseen')
      && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(one => { const a = light(getComputedStyle(one).color), b = light(behind(one));
      return [one.className || one.tagName, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)] })
    .filter(([, ratio]) => ratio < 4.5) })()"""


# -- the reports agree --------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
def test_junit_json_and_html_agree(page, tmp_path, strict):
    """All three tell the same outcomes, checks, messages and verdict."""

    report = reports.of_every_kind(strict=strict)
    told = report.to_json()
    shown(page, report, tmp_path)

    assert page.texts("h1") == [f"agent-x 1.2 {told['verdict']}"]
    failed = {one["id"] for one in told["results"] if one["outcome"] == "fail" and one["counts"]}
    assert set(page.texts(".card.v-fail .id")) == failed
    assert len(page.texts(".told.v-fail")) == words_of_junit(report)["failure"]
    assert len(page.texts(".told.v-error")) == words_of_junit(report)["error"] == 1
    for one in told["results"]:
        card = page.ask(
            f"document.querySelector('.card:has(#{one['id'].replace('/', '-')})').textContent"
        )
        for words in (one["message"], one["rule"], one["source"], *one["evidence"]):
            assert words in card


def test_the_reports_of_a_real_run_agree(page, tmp_path):
    """A broken agent is the same in all of them, with what was seen of its run."""

    mutant = next(one for one in CONTRACT if one.name == "errors-one-by-one")
    report = judge(mutant.write(tmp_path), "7-8", config=str(HERE / "plain.toml"))
    shown(page, report, tmp_path)

    assert report.exit_code == 1
    assert page.texts(".card.v-fail .id") == ["contract/7/all-errors-at-once"]
    assert words_of_junit(report) == {"failure": 1, "pass": 1}
    assert report.results[0].message in page.texts(".seen")[0]
    assert len(page.texts(".strip")) == 1
