"""Reads a page as a browser does, and refuses what a self-contained one must not have."""

from html.parser import HTMLParser

__all__ = ["Page"]

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A parsed page: ids, references, text, tags, tables; ``check`` it first.

    Args:
        html: Of the page.
    """

    def __init__(self, html):
        super().__init__()
        self.html, self.open, self.ids, self.references = html, [], [], []
        self.tags, self.text, self.policy = [], [], ""
        self.tables, self.captions = [], []
        self.feed(html)
        self.close()
        self.said = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "action", "srcset", "poster", "xlink:href"):
                self.references.append(value)
            assert not name.startswith("on"), f"a script in {name} of {tag}"
            assert not set('<"') & set(name), f"markup in an attribute: {name}"

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)
        if self.open[-1:] == ["caption"]:
            self.captions[-1] += data
        elif "table" in self.open and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data.replace("\xa0", " ").strip()

    def table(self, *header):
        """Cells by row of the one table whose header begins with these words."""
        (found,) = (rows for rows in self.tables if rows and rows[0][: len(header)] == [*header])
        return found[1:]

    def check(self):
        """Well-formed, without scripts or anything from elsewhere, and all anchors are there."""
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert not {"script", "iframe", "object", "link", "base", "form"} & set(self.tags)
        for reference in self.references:
            inside = reference.startswith("#") and reference[1:] in self.ids
            assert inside or reference.startswith("data:image/jpeg;base64,"), reference[:80]
        for away in ("@import", "url(http", "url(//", "url('", 'url("'):
            assert away not in self.html
        assert self.html.count("<!DOCTYPE html>") == 1
        assert not [c for c in self.html if ord(c) < 32 and c not in "\n\t"]
        assert len(self.html.encode()) < 5_000_000
        return self
