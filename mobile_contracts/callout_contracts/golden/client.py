"""What a client must do, as scripts: actions of an app, and the exchanges with a scripted server that they lead to."""

from callout_contracts.golden.client_copy import COPY, VERSIONS
from callout_contracts.golden.client_queue import EDITS, OUTCOMES, QUEUE
from callout_contracts.golden.client_uploads import UPLOADS

VECTORS = [*QUEUE, *COPY, *EDITS, *OUTCOMES, *VERSIONS, *UPLOADS]
