"""The reference phone: the sync protocol as a client must do it, short enough to be read as its specification.

`clock` is the device's own idea of time, `store` what lies on the phone, `phone` the protocol, `transport` the wire,
`network` a wire that loses, repeats and reorders. It needs nothing of the server but its contracts.
"""

from callout_client.clock import DeviceClock, uuid7
from callout_client.network import Faults, FaultyTransport
from callout_client.phone import DeviceShutOut, Phone, Refused
from callout_client.store import Store
from callout_client.transport import HttpTransport, NetworkLost, Transport

__all__ = [
    "DeviceClock",
    "DeviceShutOut",
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
