from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.errors import FhirError, Invalid, TooLarge, Unprocessable
from telesession.sdp import Fragment, check_offer, read_description, read_fragment, without_names

MEDIA = """m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:{mid}
a=sendonly
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 00
a=setup:actpass
a=rtcp-mux
a=rtpmap:96 VP8/90000
"""
OFFER = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE 0 1\n" + MEDIA.format(mid=0)
BOTH = OFFER + MEDIA.format(mid=1).replace("video", "audio")


def test_a_sound_offer_is_taken():
    assert [each.kind for each in check_offer(BOTH, "publish").media] == ["video", "audio"]
    assert check_offer(BOTH.replace("sendonly", "recvonly"), "view").media[0].direction == "recvonly"


@pytest.mark.parametrize(
    "offer",
    [
        OFFER + MEDIA.format(mid=1),
        OFFER.replace("sendonly", "recvonly"),
        OFFER.replace("sendonly", "inactive"),
        OFFER.replace("a=rtcp-mux\n", ""),
        OFFER.replace("a=ice-ufrag:abcd\n", ""),
        OFFER.replace("a=ice-pwd:abcdefghijklmnopqrstuv\n", ""),
        OFFER.replace("a=fingerprint:sha-256 00\n", ""),
        OFFER.replace("actpass", "passive"),
        OFFER.replace("a=mid:0\n", ""),
        BOTH.replace("a=group:BUNDLE 0 1\n", ""),
        BOTH.replace("a=mid:1", "a=mid:0"),
        OFFER.replace("video 9", "application 9"),
    ],
    ids="two-pictures recvonly inactive no-mux no-ufrag no-password no-fingerprint passive no-mid no-bundle"
    " same-mid data".split(),
)
def test_an_offer_that_cannot_be_served_whole_is_refused(offer: str):
    with pytest.raises(Unprocessable):
        check_offer(offer, "publish")


def test_what_is_viewed_is_not_offered_to_be_sent():
    with pytest.raises(Unprocessable):
        check_offer(OFFER, "view")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Invalid),
        ("{}", Invalid),
        ("v=0\nnonsense", Invalid),
        ("v=0\nm=tv 1 RTP 1", Invalid),
        ("v=0\n" + "a=x\n" * 40_000, TooLarge),
        (OFFER + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n" * 101, TooLarge),
        ("v=0\n" + MEDIA.format(mid=0) * 41, TooLarge),
    ],
    ids="empty json line media long candidates many".split(),
)
def test_what_is_no_description_is_refused(text: str, kind: type[FhirError]):
    with pytest.raises(kind):
        read_description(text)


def test_names_of_others_networks_are_not_looked_up():
    kept = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host"
    assert without_names(f"{kept}\na=candidate:1 1 udp 1 abc.local 9 typ host\na=x") == f"{kept}\r\na=x\r\n"
    assert without_names("a=candidate:short") == ""


def test_a_fragment_brings_candidates_with_their_mid():
    text = "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=video 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    assert read_fragment(text) == Fragment("u", "p", (("0", "1 1 udp 1 192.0.2.1 9 typ host"),), is_end=False)
    assert read_fragment("a=end-of-candidates\r\n").is_end


@settings(deadline=None)
@given(st.text(max_size=300) | st.text("amv=:-0 \ncandite", max_size=300))
def test_any_text_is_read_or_refused(text: str):
    for read in (read_fragment, read_description, lambda each: check_offer(each, "view")):
        try:
            read(text)
        except FhirError:
            continue
