"""What routewright costs on this machine: CPU per request beside proxies that do nothing, latency, start, memory.

`measure.run` starts programs on loopback: an upstream that answers at once (`upstream`), a plain proxy over the same
server and the same transport as the gateway's (`floor`), nginx where it is installed (`nginx`), and the gateway itself
as `routewright serve`, as it is and with less and more of what it does (`configurations`). Load comes from this process
(`load`, `streams`); what a program spent is read from outside (`processes`). All take turns, so that a machine that
becomes slower or faster meanwhile does so for each.
"""
