"""Secrets are taken out of everything, and nothing else is (Contract §7)."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from baqup_agent import Secret
from baqup_agent.observability.forms import FORM_MIN, LINE_MIN
from baqup_agent.observability.redaction import Redactor
from tests.observability.naive import blanked

#: Texts of the alphabets in which secrets come, surrogates for odd bytes among them.
LETTERS = st.sampled_from("ab0+/=%\"'\\ \n@:é\u0308\u20ac\U0001f511\udcff&<")
VALUES = st.text(LETTERS, min_size=FORM_MIN, max_size=20)

SECRETS = ["hunter2", 'quo"te', "sl/ash+plus=", "ümlaut", "two words", "hunter2-longer", "nl\nx"]


@pytest.mark.parametrize("value", SECRETS)
def test_a_secret_is_found_in_every_form(value: str) -> None:
    """Plain, quoted, escaped, in base64 and in hexadecimal digits, the whole form goes."""
    redactor = Redactor(map(Secret, SECRETS))
    raw = value.encode()
    forms = [
        value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1], repr(raw)[2:-1],
        html.escape(value), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
        raw.hex(), raw.hex().upper(), quote(value).lower() if value.islower() else value,
    ]  # fmt: skip

    assert {redactor.text(f"<{form}>") for form in forms} == {"<[REDACTED]>"}


@given(VALUES, st.binary(max_size=5), st.binary(max_size=5))
def test_base64_hides_nothing_at_any_alignment(value: str, before: bytes, after: bytes) -> None:
    """Of the characters that depend on the secret alone none is left, in either alphabet."""
    raw = value.encode("utf-8", "surrogateescape")
    redactor = Redactor([Secret(value)])

    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + raw + after).decode()
        first, last = -(-len(before) * 8 // 6), (len(before) + len(raw)) * 8 // 6
        core = encoded[first:last]
        assert core not in redactor.text(encoded) or len(core) < FORM_MIN


@given(st.lists(VALUES, max_size=4), st.data())
def test_the_sieve_finds_what_a_plain_search_finds(values: list[str], data: st.DataObject) -> None:
    """The result is that of looking for every form at every place."""
    redactor = Redactor(map(Secret, values), sanitize="none")
    forms = sorted(redactor.forms)
    pieces = st.text(LETTERS, max_size=9)
    if forms:
        cut = st.integers(0, 6)
        torn = st.builds(lambda form, at: form[at:], st.sampled_from(forms), cut)
        pieces |= st.sampled_from(forms) | torn
    text = "".join(data.draw(st.lists(pieces, max_size=6)))

    assert redactor.text(text) == blanked(text, forms)
    assert redactor.contains(text) == (redactor.text(text) != text)


@given(st.lists(VALUES, min_size=1, max_size=3), st.text(LETTERS), st.text(LETTERS), st.booleans())
@example(["a\n12"], "\n", "", True)
def test_what_is_found_in_a_text_is_found_in_its_json(
    values: list[str], before: str, after: str, ascii_only: bool
) -> None:
    """A message can be searched after it was encoded: nothing hides behind escapes."""
    redactor = Redactor([*map(Secret, values), Secret("12")], sanitize="strict")
    for text in (before + values[0] + after, f"{before}12{after}", f"{before}/home/ann{after}"):
        encoded = json.dumps({"n": [text]}, ensure_ascii=ascii_only)

        assert redactor.contains(encoded) or redactor.text(text) == text


def test_what_was_escaped_before_is_found_after_encoding() -> None:
    """An author's JSON inside a message is escaped a second time, and found all the same."""
    redactor = Redactor([Secret('say"cheese')])
    once = json.dumps({"password_is": 'say"cheese'})

    assert redactor.text(once) == '{"password_is": "[REDACTED]"}'
    assert redactor.contains(json.dumps({"message": once}))


def test_overlapping_secrets_leave_no_rest() -> None:
    """What one secret takes away does not keep another from being seen."""
    redactor = Redactor([Secret("abcdef"), Secret("defghijk"), Secret("abcdefgh")])

    assert redactor.text("<abcdefghijk>") == "<[REDACTED]>"
    assert redactor.text("<abcdefgh>") == "<[REDACTED]>"
    assert redactor.text("<abcabcdef>") == "<abc[REDACTED]>"
    assert Redactor([Secret("abab")]).text("<ababab>") == "<[REDACTED]>"


@pytest.mark.parametrize("value", ["7", "ab", "x-1", "é1"])
def test_a_short_secret_is_found_where_it_stands_alone(value: str) -> None:
    """As part of a word it is chance; whoever made it known is told that it is weak."""
    redactor = Redactor()

    assert redactor.add(Secret(value)) is False
    assert redactor.text(f"a {value}, x{value} {value}y\n{value}") == (
        f"a [REDACTED], x{value} {value}y\n[REDACTED]"
    )
    assert redactor.text(value) == "[REDACTED]"
    assert redactor.value({"n": 7}) == {"n": 7}


@pytest.mark.parametrize("value", ["", " ", "-", "::", "\n"])
def test_a_secret_of_a_few_marks_is_not_looked_for(value: str) -> None:
    """It would tear every text to pieces and give nothing away."""
    redactor = Redactor([Secret(value)])

    assert redactor.text("a - b :: c\n") == "a - b :: c\n"


def test_a_long_secret_is_not_weak() -> None:
    """Four characters are enough to be found anywhere."""
    assert Redactor().add(Secret("abcd")) is True


def test_every_line_of_a_key_is_a_secret() -> None:
    """Output is read line by line; short lines such as a brace are left alone."""
    key = "-----BEGIN KEY-----\n  MIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n}\n-----END KEY-----\n"
    redactor = Redactor([Secret(key)])

    assert redactor.text("x MIIEvQIBADANBgkq y") == "x [REDACTED] y"
    assert redactor.text("hkiG9w0BAQEFAASC") == "[REDACTED]"
    assert redactor.text(f"<{json.dumps(key)[1:-1]}>") == "<[REDACTED]>"
    assert redactor.text("a } b") == "a } b"
    assert len("hkiG9w0BAQEFAASC") >= LINE_MIN


def test_blanks_around_a_secret_do_not_hide_it() -> None:
    """A secret read from a file often ends in a line break, and errors are put on one line."""
    assert Redactor([Secret("hunter2\n")]).text("<hunter2>") == "<[REDACTED]>"
    assert Redactor([Secret("ab\ncd\n")]).text("<ab\ncd>") == "<[REDACTED]>"
    assert Redactor([Secret("two\n lines")]).text("<two lines>") == "<[REDACTED]>"


def test_unicode_forms_are_the_same_secret() -> None:
    """Composed, decomposed, and read in the wrong encoding, it stays secret."""
    value = "Pässwörd"
    redactor = Redactor([Secret(unicodedata.normalize("NFD", value))])

    assert redactor.text(unicodedata.normalize("NFC", value)) == "[REDACTED]"
    assert redactor.text(unicodedata.normalize("NFD", value)) == "[REDACTED]"
    composed = Redactor([Secret(unicodedata.normalize("NFC", value))])
    assert composed.text(unicodedata.normalize("NFD", value)) == "[REDACTED]"
    assert Redactor([Secret(value)]).text(value.encode().decode("latin-1")) == "[REDACTED]"


def test_bytes_that_are_no_text_are_found() -> None:
    """However a reader treats the odd bytes, the secret is seen."""
    raw = b"k\xff\xfeey-\x80"
    redactor = Redactor([Secret(raw.decode("utf-8", "surrogateescape"))])
    readings = ["surrogateescape", "replace", "backslashreplace"]

    assert {redactor.text(raw.decode("utf-8", how)) for how in readings} == {"[REDACTED]"}
    assert redactor.text(repr(raw)) == "b'[REDACTED]'"
    assert redactor.text(quote(raw)) == "[REDACTED]"
    assert redactor.text(raw.hex()) == "[REDACTED]"


@pytest.mark.parametrize("url", ["redis://me:p%40ss%2Fword@host:1/0", "x://:p%40ss%2Fword@h"])
def test_the_password_of_a_url_is_a_secret_by_itself(url: str) -> None:
    """As it stands there and as it is meant; the rest of the URL is none."""
    redactor = Redactor([Secret(url)])

    assert redactor.text("p@ss/word or p%40ss%2Fword at host") == (
        "[REDACTED] or [REDACTED] at host"
    )
    assert redactor.text(url) == "[REDACTED]"


@pytest.mark.parametrize(
    ("text", "none", "moderate", "strict"),
    [
        ("redis://me:pw@host/0", None, "redis://[REDACTED]@host/0", "redis://[REDACTED]@host/0"),
        ("see /home/ann/x.txt.", None, None, "see [PATH]"),
        ("(/etc/passwd)", None, None, "([PATH])"),
        ("1/2 and http://h/p", None, None, None),
        ("dsn=x password=abc&y", None, *2 * ("dsn=x password=[REDACTED]&y",)),
        ('API-KEY="a b" x', None, *2 * ("API-KEY=[REDACTED] x",)),
        ("Authorization: Bearer abcdef123456", None, *2 * ("Authorization: Bearer [REDACTED]",)),
        ("passwords=many tokens = 3", None, None, None),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n", None, "[REDACTED]", "[REDACTED]"),
    ],
)  # fmt: skip
def test_sanitizing_goes_as_far_as_configured(
    text: str, none: str | None, moderate: str | None, strict: str | None
) -> None:
    """Nothing, known patterns, or paths too; what was cleaned once stays as it is."""
    for sanitize, expected in (("none", none), ("moderate", moderate), ("strict", strict)):
        redactor = Redactor(sanitize=sanitize)
        cleaned = redactor.text(text)

        assert cleaned == (text if expected is None else expected)
        assert redactor.contains(text) == (cleaned != text)
        assert redactor.text(cleaned) == cleaned


def test_members_that_name_credentials_are_hidden() -> None:
    """An author's own password in the context is no known secret, but its name tells."""
    given_ = {"password": "x", "Api-Key": b"y", "token": "", "tokens": "z", "n": {"secret": "s"}}

    assert Redactor().value(given_) == {
        "password": "[REDACTED]", "Api-Key": "[REDACTED]", "token": "", "tokens": "z",
        "n": {"secret": "[REDACTED]"},
    }  # fmt: skip
    assert Redactor(sanitize="none").value({"password": "x"}) == {"password": "x"}


def test_values_are_cleaned_through_and_through() -> None:
    """Names, texts, numbers and foreign objects, at any depth; what is JSON stays JSON."""
    redactor = Redactor([Secret("12345"), Secret("hunter2")])

    assert redactor.value(
        {
            "hunter2": 1,
            "list": ["hunter2", ("x", {"hunter2"})],
            "number": 12345,
            "inside": 9123459,
            "float": 0.12345,
            "free": [7, True, None, 1.5],
            "object": Secret("hunter2"),
            "error": ValueError("no hunter2"),
            "nan": float("nan"),
        }
    ) == {
        "[REDACTED]": 1,
        "list": ["[REDACTED]", ["x", ["[REDACTED]"]]],
        "number": "[REDACTED]",
        "inside": "[REDACTED]",
        "float": "[REDACTED]",
        "free": [7, True, None, 1.5],
        "object": "[REDACTED]",
        "error": "no [REDACTED]",
        "nan": "nan",
    }


def test_members_whose_names_become_equal_are_all_kept() -> None:
    """Two names that differed in a secret only do not replace each other."""
    redactor = Redactor([Secret("hunter2"), Secret("hunter3")])

    assert redactor.value({"hunter2": 1, "hunter3": 2}) == {"[REDACTED]": 1, "[REDACTED]'": 2}


def test_a_value_that_cannot_be_written_harms_nobody() -> None:
    """Circles end somewhere, and an object without a text is named by its class."""
    circle: list[object] = []
    circle.append(circle)

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    redactor = Redactor()

    assert json.dumps(redactor.value(circle), ensure_ascii=False).strip("[]") == '"…"'
    assert redactor.value(Mute()) == "<Mute without a text>"


def test_identities_in_a_message_are_never_redacted() -> None:
    """A secret that equals one of the contract's words does not break the message."""
    redactor = Redactor([Secret("running"), Secret("success"), Secret("shop"), Secret("12345")])
    message = {
        "type": "status",
        "state": "running",
        "status": "success",
        "agent": "agent-shop",
        "intent": {"operation": "shop", "detail": "running"},
        "files": [{"path": "shop.sql.zst", "size_bytes": 12345}],
        "components": [{"name": "shop", "artifact": "shop.sql.zst"}],
        "sample_paths": ["/srv/shop"],
        "source_metadata": {"type": "shop", "rows": 12345},
        "error": None,
    }

    assert redactor.message(message) == {
        **message,
        "intent": {"operation": "[REDACTED]", "detail": "[REDACTED]"},
        "components": [{"name": "[REDACTED]", "artifact": "shop.sql.zst"}],
        "sample_paths": ["/srv/[REDACTED]"],
        "source_metadata": {"type": "[REDACTED]", "rows": "[REDACTED]"},
    }


@pytest.mark.parametrize(
    ("value", "telling"),
    [
        ("shop", False), ("wiki_2024", False), ("database-server", False), ("Shop12", False),
        ("c0rrect!horse", True), ("Tr0ub4dor", True), ("d41d8cd98f00b204", True),
    ],
)  # fmt: skip
def test_a_name_betrays_only_what_cannot_be_chance(value: str, telling: bool) -> None:
    """A database is often called like its user; nothing is called like a password."""
    redactor = Redactor([Secret(value)])

    assert redactor.betrays(f"{value}.sql") == telling
    cleaned = redactor.message({"files": [{"path": f"{value}.sql"}]})
    assert cleaned == {"files": [{"path": "[REDACTED].sql" if telling else f"{value}.sql"}]}


def test_cleaning_twice_changes_nothing_more() -> None:
    """What stands for a secret is never itself taken for one."""
    redactor = Redactor([Secret("REDACTED"), Secret("hunter2")])

    once = redactor.text("a hunter2 b")
    assert once == "a [REDACTED] b"
    assert redactor.text(once) == once
    assert not redactor.contains(once)


def test_without_secrets_nothing_changes() -> None:
    """An empty redactor that sanitises nothing returns what it is given."""
    redactor = Redactor(sanitize="none")

    assert redactor.text("a/b redis://x:y@z") == "a/b redis://x:y@z"
    assert not redactor.contains("anything")
    assert not redactor.betrays("anything")


NAMED = [
    ('{"password": "pw1", "api_key":"k1"}', '{"password": "[REDACTED]", "api_key":"[REDACTED]"}'),
    ("{'token': None, 'secret': 12345}", "{'token': None, 'secret': [REDACTED]}"),
    ('PASSWORD: "a\\"b" c', 'PASSWORD: "[REDACTED]" c'),
    ("token: abcdef", "token: [REDACTED]"),
    ("(passwd: bar)", "(passwd: [REDACTED])"),
    ("\u0130 Token: ABC", "\u0130 Token: [REDACTED]"),
    ("dump --db-password foo x", "dump --db-password [REDACTED] x"),
    ("['x', '--password', 'foo bar', 'y']", "['x', '--password', '[REDACTED]', 'y']"),
    ("x-api-key: kk", "x-api-key: [REDACTED]"),
    ("pwd=a)b c", "pwd=[REDACTED] c"),
    ("Set-Cookie: sess=1; b=2 refused", "Set-Cookie: [REDACTED] refused"),
    ('{"cookie": "sess"}', '{"cookie": "[REDACTED]"}'),
    ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic [REDACTED]"),
    ("authorization: Bearer ab", "authorization: Bearer [REDACTED]"),
    ("passphrase: x credentials: y", "passphrase: [REDACTED] credentials: [REDACTED]"),
]


@pytest.mark.parametrize(("text", "cleaned"), NAMED)
@pytest.mark.parametrize("sanitize", ["moderate", "strict"])
def test_a_value_behind_the_name_of_a_credential_is_hidden(
    text: str, cleaned: str, sanitize: str
) -> None:
    """As JSON, as a header, as a setting or an option; also once more encoded, and only once."""
    redactor = Redactor(sanitize=sanitize)

    assert redactor.text(text) == cleaned
    assert redactor.text(cleaned) == cleaned
    assert redactor.contains(json.dumps([text]))
    assert json.loads(redactor.text(json.dumps([text]))) == [cleaned]
    assert Redactor(sanitize="none").text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "token: none, retrying", "the password: must be set", '{"token": null}', '{"token": ""}',
        '{"secret": {"rows": 3}}', "use --token or --password to log in", "--password --verbose",
        "KeyError: 'password'", "tokens: 3, keys: 4", "cookie: refused", "the key: 7",
        "password", "secret:", "wrong password for user shop at 10.0.0.7:5432",
    ],
)  # fmt: skip
def test_words_around_the_name_of_a_credential_stay(text: str) -> None:
    """A line that speaks of a credential without telling it is left as it is."""
    assert Redactor(sanitize="strict").text(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("no '/data/my file' here", "no '[PATH]' here"),
        ('{"a": "/a b", "c": "x"}', '{"a": "[PATH]", "c": "x"}'),
        ('"say \\"/a b\\" "', '"say \\"[PATH]\\" "'),
        ("at file:///home/al/x now", "at file://[PATH] now"),
        ("unix:///run/redis.sock?db=0", "unix://[PATH]"),
        ("it's /a b", "it's [PATH] b"),
        ("https://h/p '1 / 2'", "https://h/p '1 / 2'"),
    ],
)
def test_paths_go_as_a_whole(text: str, cleaned: str) -> None:
    """Blanks are part of a path between quotation marks, and a path may stand in a URL."""
    redactor = Redactor(sanitize="strict")

    assert redactor.text(text) == cleaned
    assert redactor.text(cleaned) == cleaned
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0", "redis://me@h:1/0", "file:///data/out", "unix:///run/r.sock",
        "redis+cluster://h1:1,h2:2", "rediss://h/0?ssl_keyfile=/k&client_name=c", "redis://me:@h",
    ],
)  # fmt: skip
def test_a_url_without_a_password_stays_visible(url: str) -> None:
    """What is no secret helps whoever reads the log."""
    redactor = Redactor(sanitize="none")

    assert redactor.add_url(Secret(url)) is True
    assert redactor.text(f"the bus at {url} refused") == f"the bus at {url} refused"
    assert redactor.forms == frozenset()


@pytest.mark.parametrize(
    ("url", "told", "cleaned"),
    [
        ("redis://me:p%40ss@h:1/0", "me h:1/0 p@ss p%40ss", "me h:1/0 [REDACTED] [REDACTED]"),
        ("redis+sentinel://:pw12@h1:26379,h2/master", "h1:26379,h2/master pw12",
         "h1:26379,h2/master [REDACTED]"),
        ("rediss://h/0?ssl_password=a%2Bb12", "h/0 a+b12 a%2Bb12", "h/0 [REDACTED] [REDACTED]"),
        ("rediss://h?db=1&ssl_keyfile_password=kfp1", "h?db=1 kfp1", "h?db=1 [REDACTED]"),
        ("redis+sentinel://h/m?sentinel_password=two+words", "h/m two words", "h/m [REDACTED]"),
        ("redis://:p/w#12@h:1", "h:1 p/w#12", "h:1 [REDACTED]"),
        ("redis://:p[w12@h:1", "h:1 p[w12", "h:1 [REDACTED]"),
        ("hunter2secret", "a hunter2secret", "a [REDACTED]"),
    ],
)  # fmt: skip
def test_of_a_url_its_passwords_are_hidden(url: str, told: str, cleaned: str) -> None:
    """As they stand there and as they are meant, and the whole URL; hosts and users are not."""
    redactor = Redactor(sanitize="none")

    assert redactor.add_url(Secret(url)) is True
    assert redactor.text(told) == cleaned
    assert redactor.text(f"<{url}>") == "<[REDACTED]>"


def test_a_short_password_of_a_url_is_told_as_weak() -> None:
    """It is hidden as a word of its own and inside its URL."""
    redactor = Redactor(sanitize="none")

    assert redactor.add_url(Secret("redis://:pw@h:1")) is False
    assert redactor.text("pw pwd redis://:pw@h:1") == "[REDACTED] pwd [REDACTED]"
