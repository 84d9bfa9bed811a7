"""What routewright promises, tried on this machine: `routewright prove`, without a checkout and without the network.

A *part* tries one promise and gives figures, each beside its bar (`part`, `figure`); `report` runs them and keeps what
was skipped, with the reason. Money is tried by gateways that are killed (`kills`), by crowds at one budget
(`overshoot`), by power cuts (`power_cuts`) and by a provider that bills otherwise (`cost_shapes`); faults by outages
on a simulated clock (`simulation`). What needs other databases, hours or recorded outcomes is in the repository's
`benchmarks`, which begins with the same parts.
"""
