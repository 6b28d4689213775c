"""Mails made to keep a machine busy, or to fill it: each of them would take hours or gigabytes to read as it is written."""

import pytest

from callout_orders.channels.mailbox import mail, mail_text

HEAD = b"From: Ann <ann@example.org>\r\nMessage-ID: <r@x>\r\n"
HTML = HEAD + b"Content-Type: text/html\r\n\r\n<p>The pump leaks</p>"


@pytest.mark.parametrize(
    "filling",
    (b"<a ", b"</a", b"<!--", b"<!", b"<?", b"<a b='", b"<style></styl", b"&#9", b"<blockquote>", b'<a "'),
)
def test_pages_of_tags_that_never_end_are_read_in_one_pass(filling: bytes) -> None:
    """One mail of two megabytes would hold the process that reads it for days, and with it everybody's requests."""
    found = mail.read(HTML + filling * (2_000_000 // len(filling)))
    assert found.text.startswith("The pump leaks")


@pytest.mark.parametrize(
    "page",
    (
        "<p title='a > b'>leaks</p>",
        '<P TITLE="it\'s > 5" CLASS=x>leaks</P>',
        "<p title='never closed>leaks</p>",
        "<script>if (a < b) document.write('<p>no</p>')</script>leaks",
        "<!-- <p>no</p> -->leaks<!-- no",
        "<!DOCTYPE html><?xml version='1'?>leaks",
        "<head><title>no</title></head>leaks<style>no",
        "<o:p></o:p>leaks",
    ),
)
def test_pages_as_programs_write_them_are_read_as_a_reader_sees_them(page: str) -> None:
    """The faster way of reading would show customers' words with the page's machinery among them, or lose them."""
    assert mail_text.from_html(page) == "leaks"


def test_signs_that_are_no_tags_stay() -> None:
    """ "Pressure < 5 bar" is what somebody measured."""
    assert mail_text.from_html("a < b &lt; c &amp; d <3 &#27700;") == "a < b < c & d <3 水"
    assert mail_text.from_html("x &#" + "9" * 5000 + "; y").startswith("x ")


@pytest.mark.parametrize("line", ("-" * 100_000 + "x", " " * 100_000 + "x", "于" * 100_000, "on " * 40_000))
def test_lines_without_end_are_looked_at_by_their_beginning(line: str) -> None:
    """The patterns that find quotes would take the square of a line's length, and a mail has one line if it wants to."""
    assert mail_text.own_words(f"leaks\n{line}").startswith("leaks")


def test_a_mail_of_millions_of_parts_is_read_to_a_point() -> None:
    """The parser makes an object of a kilobyte out of every ten bytes: one mail would end the worker."""
    head = HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nleaks\r\n"
    found = mail.read(head + b"--x\r\n\r\na\r\n" * 2_000_000)
    assert found.text.startswith("leaks")
    assert found.left_out


def test_a_mail_of_empty_lines_is_read_to_a_point() -> None:
    """A mail of twelve million lines would take a gigabyte."""
    found = mail.read(HEAD + b"\r\nleaks" + b"\r\n" * 10_000_000)
    assert (found.text, found.left_out) == ("leaks", 1)


def test_a_mail_of_many_lines_is_read_whole() -> None:
    """A film of twenty megabytes is three hundred thousand lines, and is no attack."""
    assert mail.LINES_MAX > 25 * 1024 * 1024 / 78
    found = mail.read(HEAD + b"\r\n" + b"a\r\n" * mail.LINES_MAX)
    assert found.left_out == 1
    assert mail.read(HEAD + b"\r\n" + b"a\r\n" * (mail.LINES_MAX - 3)).left_out == 0


@pytest.mark.parametrize(
    "name", (b"Content-Type: text/plain; ", b"Content-Disposition: attachment; ", b"Subject: ")
)
def test_headers_without_end_are_cut(name: bytes) -> None:
    """Reading a header takes the square of its length: of one megabyte hours."""
    header = name + b"; ".join(b"a*%d=x" % n for n in range(200_000))
    assert mail.read(HEAD + header + b"\r\n\r\nleaks").message_id == "<r@x>"


@pytest.mark.parametrize(
    "charset", (b"punycode", b"idna", b"unicode_escape", b"raw-unicode-escape", b"undefined", b"hex")
)
def test_charsets_that_are_none_are_not_used(charset: bytes) -> None:
    """Decoding by the first takes hours for a few megabytes, and by others makes signs that no row can hold."""
    body = b"leaks \\ud800 " + b"a9b8" * 500_000
    found = mail.read(HEAD + b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\n" + body)
    assert found.text.startswith("leaks \\ud800")


@pytest.mark.parametrize("depth", (150, 400, 3000))
def test_parts_within_parts_come_to_an_end(depth: int) -> None:
    """What is too deep for the parser may cost the mail's text, and never the mail."""
    data = HEAD
    for n in range(depth):
        data += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
    try:
        found = mail.read(data + b"\r\nleaks")
    except RecursionError:
        found = mail.read_head(data)
    assert (found.message_id, found.sender) == ("<r@x>", "ann@example.org")
