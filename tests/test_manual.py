"""The manual: the index has each chapter, links lead somewhere, terminal and web show it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.errors import RequestError
from appliance.manual import INDEX, PICTURES, chapter_text, chapters
from appliance.web.manual_page import as_html, manual_answer, picture_answer

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "appliance" / "manual"
NAMES = [chapter.name for chapter in chapters()]


class Page(HTMLParser):
    """Collects where links lead and what can be linked to."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(manual_answer(name).body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values["href"])] if tag == "a" else []
        self.anchors |= {str(values["id"])} if "id" in values else set()


def test_manual_when_listed_then_every_file_is_a_chapter_with_its_title() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == {INDEX, *NAMES}
    for chapter in chapters():
        assert chapter_text(chapter.name).startswith(f"# {chapter.title}\n")


@pytest.mark.parametrize("name", [INDEX, *NAMES])
def test_manual_when_a_chapter_links_then_that_is_there(name: str) -> None:
    for link in Page(name).links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        assert path.startswith("/manual/"), link
        there = Page(path.removeprefix("/manual/") or INDEX)
        assert not anchor or anchor in there.anchors, link


@pytest.mark.parametrize("name", [INDEX, *NAMES])
def test_manual_when_a_chapter_is_read_as_a_file_then_its_links_lead_to_files(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", chapter_text(name)):
        assert target.startswith("https://") or (FOLDER / target).is_file(), target


def test_readme_when_it_links_then_that_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(targets) > 12
    assert all((ROOT / target).exists() for target in targets)


def test_manual_when_shown_in_a_pipe_then_plain_lines_that_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(group, ["manual", "exporters"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "What counts as traffic (appliance manual traffic)" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_manual_when_a_chapter_is_misspelt_then_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(group, ["manual", "backup"]) == 2
    assert "did you mean backups?" in capsys.readouterr().err


def test_manual_when_a_chapter_shows_a_picture_then_the_web_has_it_and_it_is_small() -> None:
    shown = set(re.findall(r'<img src="(pictures/[^"]+)"', as_html(chapter_text("console"))))
    assert shown == {f"pictures/{picture.name}" for picture in PICTURES.iterdir()}
    octets = 0
    for name in shown:
        answer = picture_answer(name.removeprefix("pictures/"))
        assert answer.content_type == "image/png"
        assert answer.body[:8] == b"\x89PNG\r\n\x1a\n"
        octets += len(answer.body)
    assert octets < 1_500_000


def test_manual_when_there_is_no_such_picture_then_404() -> None:
    for name in ("nothing.png", "../index.md", ""):
        with pytest.raises(RequestError, match="no picture"):
            picture_answer(name)


def test_manual_when_a_chapter_with_pictures_is_shown_in_the_terminal_then_without_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(group, ["manual", "console"]) == 0
    assert "The overview: traffic over time" not in capsys.readouterr().out


def test_manual_when_there_is_no_such_page_then_404() -> None:
    with pytest.raises(RequestError, match="no chapter nowhere") as caught:
        manual_answer("nowhere")
    assert caught.value.status == 404


def test_manual_when_a_page_has_markup_then_it_is_text() -> None:
    assert "<script>" not in as_html("# A\n\n<script>alert(1)</script> [x](javascript:alert)\n")
    assert "javascript:" not in as_html("[x](javascript:alert(1))").replace("[x](javascript:", "")
