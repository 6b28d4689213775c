"""Scripts for clients: photos."""

from callout_contracts.golden.client_script import PICTURE, VISIT, lost, refused, vector

UPLOADS = [
    vector(
        "upload-in-pieces",
        "Create, then send pieces from the offset that the server names.",
        {"photo": {"name": "p", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "upload": [
                {
                    "asked": "POST",
                    "carries": {"length": 22, "metadata": ["sha256", "filetype", "filename", "kind"]},
                    "answer": {"location": "/v1/uploads/u1"},
                },
                {
                    "asked": "PATCH",
                    "carries": {"url": "/v1/uploads/u1", "offset": 0},
                    "answer": {"offset": 10},
                },
                {
                    "asked": "PATCH",
                    "carries": {"url": "/v1/uploads/u1", "offset": 10},
                    "answer": {"offset": 20},
                },
                {
                    "asked": "PATCH",
                    "carries": {"url": "/v1/uploads/u1", "offset": 20},
                    "answer": {"offset": 22},
                },
            ]
        },
        {"expect": {"pictures": []}},
        pieceBytes=10,
        level="SHOULD",
    ),
    vector(
        "upload-resumes-after-a-restart",
        "After a cut or a restart the server is asked how far it is; what it has is never sent again.",
        {"photo": {"name": "p", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "upload": [
                {"asked": "POST", "answer": {"location": "/v1/uploads/u1"}},
                {"asked": "PATCH", "carries": {"offset": 0}, "answer": {"offset": 10}},
                refused("PATCH", "NOT_ALLOWED_NOW", retryable=True, offset=10),
            ],
            "attempts": 1,
            "fails": "NOT_ALLOWED_NOW",
        },
        {"restart": True},
        {
            "upload": [
                {"asked": "HEAD", "carries": {"url": "/v1/uploads/u1"}, "answer": {"offset": 15}},
                {"asked": "PATCH", "carries": {"offset": 15}, "answer": {"offset": 22}},
            ]
        },
        {"expect": {"pictures": []}},
        pieceBytes=10,
    ),
    vector(
        "upload-that-got-ahead",
        "409 means that the server is elsewhere, as after a lost answer: ask, and go on from there.",
        {"photo": {"name": "p", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "upload": [
                {"asked": "POST", "answer": {"location": "/v1/uploads/u1"}},
                lost("PATCH", offset=0),
                {"asked": "PATCH", "carries": {"offset": 0}, "status": 409},
                {"asked": "HEAD", "answer": {"offset": 10}},
                {"asked": "PATCH", "carries": {"offset": 10}, "answer": {"offset": 20}},
                {"asked": "PATCH", "carries": {"offset": 20}, "answer": {"offset": 22}},
            ]
        },
        {"expect": {"pictures": []}},
        pieceBytes=10,
    ),
    vector(
        "upload-that-expired-begins-anew",
        "404 or 410: the server no longer knows of the upload; a new one is made, the picture is not given up.",
        {"photo": {"name": "p", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "upload": [
                {"asked": "POST", "answer": {"location": "/v1/uploads/u1"}},
                {"asked": "PATCH", "carries": {"url": "/v1/uploads/u1"}, "status": 410},
                {"asked": "POST", "answer": {"location": "/v1/uploads/u2"}},
                {
                    "asked": "PATCH",
                    "carries": {"url": "/v1/uploads/u2", "offset": 0},
                    "answer": {"offset": 22},
                },
            ]
        },
        {"expect": {"pictures": []}},
    ),
    vector(
        "refused-picture-stops-no-other",
        "A picture that the server refuses for good is put aside with its bytes; the next one is sent.",
        {"photo": {"name": "p", "visitId": VISIT, "hex": "00", "mediaType": "image/jpeg"}},
        {"photo": {"name": "q", "visitId": VISIT, "hex": PICTURE, "mediaType": "image/jpeg"}},
        {
            "upload": [
                refused("POST", "UPLOAD_TOO_LARGE", length=1),
                {"asked": "POST", "carries": {"length": 22}, "answer": {"location": "/v1/uploads/u2"}},
                {"asked": "PATCH", "carries": {"url": "/v1/uploads/u2"}, "answer": {"offset": 22}},
            ]
        },
        {"expect": {"pictures": [], "refusedPictures": ["UPLOAD_TOO_LARGE"]}},
        level="SHOULD",
    ),
]
