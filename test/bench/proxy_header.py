"""What it costs to read the PROXY header that a connection begins with: weir with and without, in turns."""

import dataclasses

import compare
import peers
import scenarios

ROUNDS = 15  # the difference is small
SECONDS = 1.5


def check(session, options):
    peer = peers.make("weir", options)
    if peer.missing():
        return [], ["weir: skipped, " + peer.missing()]
    without = scenarios.SCENARIOS["close"]
    kinds = {"without": without,
             "with": dataclasses.replace(without, proxy_header=True, weir_config="proxy_header.yaml")}
    origin, origin_ports = session.start_origin()
    running = {}
    try:
        for kind, scenario in kinds.items():
            running[kind] = compare.start(session, peer, scenario, origin_ports)
            session.load(running[kind].port, "--seconds=1", *scenario.load_arguments(session.dir))
        for number in range(ROUNDS):
            for kind in list(kinds)[::1 if number % 2 else -1]:
                compare.measure_round(session, running[kind], kinds[kind], SECONDS)
    finally:
        for contestant in running.values():
            session.stop(contestant.process)
        session.stop(origin)
    costs = {kind: contestant.median("cpu_us") for kind, contestant in running.items()}
    return [("weir", "a connection with a request", costs["without"], "us", None),
            ("weir", "the same with a PROXY header", costs["with"], "us", None),
            ("weir", "added by the header", costs["with"] - costs["without"], "us", 1)], []
