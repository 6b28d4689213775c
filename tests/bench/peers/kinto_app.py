"""What gunicorn serves: Kinto with the settings file that the bench wrote (KINTO_INI)."""

import os

from pyramid.paster import get_app

application = get_app(os.environ["KINTO_INI"])
