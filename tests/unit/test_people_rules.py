"""Small rules about people: who may do what, and what is stored of what they type."""

from uuid import uuid4

import pytest

from callout_people.principals import (
    MAY_ENROL,
    RIGHTS,
    Principal,
    Right,
    Role,
    require,
    require_device,
    require_right,
)
from callout_people.sessions import read_refresh_token
from callout_people.texts import email_address, line, locale_code, phone_number
from callout_people.throttle import network
from callout_store.errors import BadField, DeviceRequired, NotAllowed, RefreshTokenInvalid


def principal(role: Role) -> Principal:
    return Principal(org_id=uuid4(), user_id=uuid4(), role=role, session_id=uuid4(), locale="zh")


def test_every_right_is_given_to_someone() -> None:
    """A right that is missing from the table would end each request that needs it in an internal fault."""
    assert set(RIGHTS) == set(Right)
    assert all(RIGHTS.values())


def test_customers_hold_no_right_over_the_organisation() -> None:
    """A customer's contact must never read other customers."""
    assert [right for right in Right if principal(Role.CUSTOMER_CONTACT).may(right)] == []


def test_nobody_enrols_upwards() -> None:
    """A dispatcher who could make a code for an admin would be an admin a minute later."""
    assert MAY_ENROL[Role.DISPATCHER] == {Role.ENGINEER}
    assert all(Role.CUSTOMER_CONTACT not in roles for roles in MAY_ENROL.values())


def test_refusals_name_role_and_act() -> None:
    """Without both, support cannot tell a wrong role from a wrong button."""
    require(principal(Role.ADMIN), Role.ADMIN, what="x")
    with pytest.raises(NotAllowed) as caught:
        require(principal(Role.ENGINEER), Role.ADMIN, Role.DISPATCHER, what="orders.manage")
    assert "engineer" in caught.value.message("zh")
    assert "orders.manage" in caught.value.message("zh")
    with pytest.raises(NotAllowed):
        require_right(principal(Role.ENGINEER), Right.DEVICES_REVOKE)
    with pytest.raises(DeviceRequired):
        require_device(principal(Role.ENGINEER), what="push")


def test_the_actor_is_the_principal() -> None:
    """The journal would name someone else."""
    who = principal(Role.SUPERVISOR)
    actor = who.actor()
    assert (actor.user_id, actor.role, actor.locale, actor.device_id) == (
        who.user_id,
        "supervisor",
        "zh",
        None,
    )


@pytest.mark.parametrize(
    "text", ("", "a@", "@b", "a b@c.de", "a@b@c", "a@b\x00.de", "a@b\ud800.de", "a@" + "b" * 260)
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """A mail to nowhere, or a text that PostgreSQL refuses with an internal fault."""
    with pytest.raises(BadField) as caught:
        email_address(text)
    assert caught.value.path == "email"


def test_addresses_are_one_whatever_their_case() -> None:
    """Li.Wei@x and li.wei@x would be two users of one mailbox."""
    assert email_address(" Li.Wei@Example.COM ") == "li.wei@example.com"


def test_telephone_numbers_are_stored_one_way() -> None:
    """The same number in two spellings cannot be found again; a local number cannot be dialled from elsewhere."""
    assert phone_number("+86 138 0013 8000") == "+8613800138000"
    for text in ("138 0013 8000", "+86 1", "call me"):
        with pytest.raises(BadField) as caught:
            phone_number(text)
        assert "138" not in str(caught.value)


def test_lines_hold_no_control_characters() -> None:
    """U+0000 is refused by PostgreSQL; a line break forges a second line in a log."""
    assert line("  王伟 ", "name") == "王伟"
    for text in ("", " ", "a\x00b", "a\nb", "\ud800", "x" * 201):
        with pytest.raises(BadField):
            line(text, "name")
    with pytest.raises(BadField):
        locale_code("fr")


@pytest.mark.parametrize(
    ("address", "counted_as"),
    (
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),  # the same client on a dual-stack socket
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),  # one household changes its last half at will
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("not an address", "unknown"),
    ),
)
def test_addresses_are_counted_by_network(address: str, counted_as: str) -> None:
    """A guesser with an IPv6 prefix has 2^64 addresses."""
    assert network(address) == counted_as


@pytest.mark.parametrize(
    "text", ("", "x", "a.b", "A" * 22 + "." + "b" * 42, "A" * 22 + "." + "ü" * 43, "\x00")
)
def test_what_is_no_refresh_token_is_refused(text: str) -> None:
    """It must end in a refusal and not in an internal fault."""
    with pytest.raises(RefreshTokenInvalid):
        read_refresh_token(text)
