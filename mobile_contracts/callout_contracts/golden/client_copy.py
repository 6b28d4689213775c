"""Scripts for clients: the local copy, other versions, wipe."""

from callout_contracts.golden.client_script import (
    DAY,
    DAY_KEYS,
    MORNING,
    ORDER,
    OTHER_EPOCH,
    PART,
    PICTURE,
    SITE,
    VISIT,
    doc,
    gone,
    note,
    outcome,
    pulled,
    pushed,
    refused,
    told,
    vector,
)

COPY = [
    vector(
        "pages-are-applied-in-order",
        "Upserts replace, deletes remove, unknown fields do not hurt; the cursor moves with each page.",
        {
            "pull": [
                pulled(None, *DAY, to="c1", more=True),
                pulled("c1", doc("part", PART, code="P", name="Seal", unit="piece", later=1), to="c2"),
            ]
        },
        {"pull": [pulled("c2", gone("part", PART), to="c3")]},
        {"expect": {"copy": DAY_KEYS}},
    ),
    vector(
        "cut-costs-one-page-at-most",
        "A pull that is cut goes on from the last page that was stored; at most one page comes again.",
        {
            "pull": [pulled(None, DAY[0], to="c1", more=True), refused("pull", "NOT_ALLOWED", cursor="c1")],
            "fails": "NOT_ALLOWED",
        },
        {"restart": True},
        {"pull": [pulled("c1", *DAY[1:], to="c2")]},
        {"expect": {"copy": DAY_KEYS}},
    ),
    vector(
        "delete-waits-for-pending-work",
        "A row that the server deletes stays for as long as work on it waits to be sent, with all that the work needs;"
        " it leaves with the answer.",
        MORNING,
        note("a"),
        {
            "pull": [
                pulled("c1", gone("visit", VISIT), gone("work_order", ORDER), gone("site", SITE), to="c2")
            ]
        },
        {"expect": {"copy": DAY_KEYS, "pending": ["a"]}},
        {"push": [pushed(["a"], told("a", "conflict", "REASSIGNED"))]},
        {"expect": {"copy": [], "pending": []}},
    ),
    vector(
        "edited-row-waits-too",
        "The same for a row that was only edited.",
        {"pull": [pulled(None, DAY[0], to="c1")]},
        {"edit": {"name": "a", "entity": "site", "id": SITE, "changes": {"accessNote": "Side door"}}},
        {"pull": [pulled("c1", gone("site", SITE), to="c2")]},
        {"expect": {"copy": [f"site/{SITE}"]}},
        {"push": [pushed(["a"], told("a", "applied"))]},
        {"expect": {"copy": []}},
    ),
    vector(
        "row-that-comes-back-stays",
        "A deleted row that was kept for its work, and that the server sends again, is an ordinary row again.",
        MORNING,
        note("a"),
        {"pull": [pulled("c1", gone("visit", VISIT), to="c2")]},
        {"pull": [pulled("c2", DAY[2], to="c3")]},
        {"push": [pushed(["a"], told("a", "applied"))]},
        {"expect": {"copy": DAY_KEYS}},
    ),
    *(
        vector(
            f"resync-{code.lower().replace('_', '-')}",
            f"{code}: pull again without a cursor. Pending work stays; rows that the new round does not bring are gone"
            " after its last page, and not before.",
            MORNING,
            note("a"),
            {
                "pull": [
                    refused("pull", code, cursor="c1"),
                    pulled(None, DAY[1], to="n1", more=True, epoch=OTHER_EPOCH),
                    pulled("n1", DAY[2], to="n2", epoch=OTHER_EPOCH),
                ]
            },
            {"expect": {"copy": DAY_KEYS, "pending": ["a"]}},
            {"push": [pushed(["a"], told("a", "applied"))]},
            {"expect": {"copy": DAY_KEYS[1:], "pending": []}},
        )
        for code in ("RESYNC_REQUIRED", "CURSOR_INVALID", "CURSOR_OF_ANOTHER_DEVICE")
    ),
    vector(
        "resync-that-is-cut-shows-the-old-copy",
        "Until the last page of a resync the old rows stay: nobody looks at an empty list.",
        MORNING,
        {
            "pull": [
                refused("pull", "RESYNC_REQUIRED", cursor="c1"),
                pulled(None, DAY[2], to="n1", more=True),
                refused("pull", "NOT_ALLOWED", cursor="n1"),
            ],
            "fails": "NOT_ALLOWED",
        },
        {"expect": {"copy": DAY_KEYS}},
        {"pull": [pulled("n1", to="n2")]},
        {"expect": {"copy": [f"visit/{VISIT}"]}},
    ),
]


VERSIONS = [
    vector(
        "unknown-entities-are-left-aside",
        "An app of schema version 1 takes no offence at entities of later ones, and sends nothing of theirs.",
        {"pull": [pulled(None, DAY[2], outcome("x", "held"), to="c1")]},
        note("a"),
        {"push": [pushed(["a"], told("a", "applied"), schemaVersion=None, oldestPending=None)]},
        {"expect": {"copy": [f"visit/{VISIT}"], "seen": {"a": None}}},
        schemaVersion=1,
    ),
    vector(
        "upgrade-required-still-hands-work-in",
        "UPGRADE_REQUIRED stops the pulls and is told to the person; pushing goes on, with all its work.",
        note("a"),
        {
            "sync": [
                pushed(["a"], told("a", "applied")),
                refused("pull", "UPGRADE_REQUIRED"),
            ]
        },
        {"expect": {"told": ["UPGRADE_REQUIRED"], "pending": []}},
        note("b"),
        {"sync": [pushed(["b"], told("b", "applied"))]},
        {"expect": {"pending": []}},
    ),
    vector(
        "wipe-sends-first",
        "`wipe` on a page: what waits is sent first, photos too; then everything is erased, and only then confirmed.",
        MORNING,
        {"photo": {"name": "p", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "sync": [
                pushed(["p"], told("p", "applied")),
                pulled("c1", to="c2", wipe=True),
                {"asked": "POST", "carries": {"length": 22}, "answer": {"location": "/v1/uploads/u1"}},
                {
                    "asked": "PATCH",
                    "carries": {"url": "/v1/uploads/u1", "offset": 0},
                    "answer": {"offset": 22},
                },
                {"asked": "confirmWipe", "answer": True},
            ]
        },
        {"expect": {"copy": [], "pending": [], "pictures": [], "told": ["WIPED"]}},
    ),
    vector(
        "wipe-that-was-not-confirmed-is-confirmed-later",
        "A phone that dies between erasing and confirming is empty, and confirms when it wakes.",
        MORNING,
        {
            "sync": [pulled("c1", to="c2", wipe=True), refused("confirmWipe", "NOT_ALLOWED")],
            "fails": "NOT_ALLOWED",
        },
        {"expect": {"copy": [], "told": ["WIPED"]}},
        {"restart": True},
        {"sync": [{"asked": "confirmWipe", "answer": True}]},
        {"expect": {"pending": []}},
    ),
    vector(
        "stolen-erases-at-once",
        "DEVICE_WIPED (a stolen phone): everything goes at once, pending work too, and the phone says so.",
        MORNING,
        note("a"),
        {
            "push": [refused("push", "DEVICE_WIPED"), {"asked": "confirmWipe", "answer": True}],
            "fails": "DEVICE_WIPED",
        },
        {"expect": {"copy": [], "pending": [], "told": ["WIPED"]}},
    ),
]
