"""What routewright costs on this machine: CPU per request beside a proxy that does nothing, latency, start, memory.

`measure.run` starts three programs on loopback: an upstream that answers at once (`upstream`), a plain proxy over the
same server and the same transport as the gateway's (`floor`), and the gateway itself as `routewright serve`. Load comes
from this process (`load`); what a program spent is read from outside (`processes`). Gateway and floor take turns, so
that a machine that becomes slower or faster meanwhile does so for both.
"""
