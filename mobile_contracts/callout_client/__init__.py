"""The reference phone: the sync protocol as a client must do it, short enough to be read as its specification.

`phone` is the protocol, `queries` what it asks, `store` and `pictures` what lies on the phone, `uploads` how photos
travel, `wire` tokens and trying again, `transport` one request, `clock` the device's own idea of time, `network` a wire
that loses, repeats, cuts and reorders. It needs nothing of the server but its contracts.
"""

from callout_client.clock import DeviceClock, uuid7
from callout_client.network import Faults, FaultyTransport
from callout_client.phone import Phone
from callout_client.store import Fate, Store
from callout_client.transport import HttpTransport, NetworkLost, Transport
from callout_client.wire import DeviceShutOut, DeviceWiped, Refused

__all__ = [
    "DeviceClock",
    "DeviceShutOut",
    "DeviceWiped",
    "Fate",
    "Faults",
    "FaultyTransport",
    "HttpTransport",
    "NetworkLost",
    "Phone",
    "Refused",
    "Store",
    "Transport",
    "uuid7",
]
