"""PyVRP or OR-Tools on a problem of plain numbers: JSON on standard input, JSON on standard output.

Runs in an environment of its own that knows nothing of Callout. In: `solver`, `seconds`, `seed`, `ways` (matrix of whole
units, one for distance and time), `visits` and `vehicles`. Out: `left` (how many visits have no place) and `travel`.
"""

import json
import sys


def pyvrp(told):
    """Routing with one capacity and windows; all vehicles are alike and all visits have to be made."""
    import numpy
    import pyvrp
    from pyvrp.stop import MaxRuntime

    ways = numpy.array(told["ways"], numpy.int64)
    visits, vehicle = told["visits"], told["vehicles"][0]
    data = pyvrp.ProblemData(
        locations=[pyvrp.Location(x=0, y=0) for _ in ways],
        clients=[
            pyvrp.Client(
                location=one["place"],
                delivery=[one["demand"]],
                service_duration=one["service"],
                tw_early=one["window"][0],
                tw_late=one["window"][1],
            )
            for one in visits
        ],
        depots=[pyvrp.Depot(location=vehicle["place"])],
        vehicle_types=[
            pyvrp.VehicleType(
                num_available=len(told["vehicles"]), capacity=[vehicle["capacity"]], tw_late=vehicle["end"]
            )
        ],
        distance_matrices=[ways],
        duration_matrices=[ways],
    )
    answer = pyvrp.solve(
        data, MaxRuntime(told["seconds"]), seed=told["seed"], collect_stats=False, display=False
    )
    if not answer.is_feasible():
        return {"left": len(visits), "travel": 0}
    return {"left": 0, "travel": int(answer.best.distance())}


def ortools(told):
    """Visits that only some vehicles can make, windows, breaks; what is left out costs more than any way."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    ways, visits, vehicles = told["ways"], told["visits"], told["vehicles"]
    places = [one["place"] for one in vehicles] + [one["place"] for one in visits]
    service = [0] * len(vehicles) + [one["service"] for one in visits]
    first = len(vehicles)
    manager = pywrapcp.RoutingIndexManager(len(places), first, list(range(first)), list(range(first)))
    routing = pywrapcp.RoutingModel(manager)

    def way(start, end):
        return ways[places[manager.IndexToNode(start)]][places[manager.IndexToNode(end)]]

    def spent(start, end):
        return way(start, end) + service[manager.IndexToNode(start)]

    routing.SetArcCostEvaluatorOfAllVehicles(routing.RegisterTransitCallback(way))
    horizon = max(one["end"] for one in vehicles)
    routing.AddDimension(routing.RegisterTransitCallback(spent), horizon, horizon, False, "time")
    time = routing.GetDimensionOrDie("time")
    for n, one in enumerate(visits):
        index = manager.NodeToIndex(first + n)
        time.CumulVar(index).SetRange(*one["window"])
        routing.VehicleVar(index).SetValues([-1, *one["able"]])
        routing.AddDisjunction([index], 10 * horizon)
    visits_s = [service[manager.IndexToNode(n)] for n in range(routing.Size())]
    for n, one in enumerate(vehicles):
        time.CumulVar(routing.Start(n)).SetRange(one["start"], one["end"])
        time.CumulVar(routing.End(n)).SetRange(one["start"], one["end"])
        rests = [
            routing.solver().FixedDurationIntervalVar(
                rest["earliest"], rest["latest"] - rest["length"], rest["length"], False, f"rest {n} {k}"
            )
            for k, rest in enumerate(one["rests"])
        ]
        if rests:
            time.SetBreakIntervalsOfVehicle(rests, n, visits_s)
    search = pywrapcp.DefaultRoutingSearchParameters()
    search.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
    search.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    search.time_limit.FromMilliseconds(int(told["seconds"] * 1000))
    found = routing.SolveWithParameters(search)
    if found is None:
        return {"left": len(visits), "travel": 0}
    made = travel = 0
    for n in range(len(vehicles)):
        index = routing.Start(n)
        while not routing.IsEnd(index):
            after = found.Value(routing.NextVar(index))
            travel += way(index, after)
            made += not routing.IsEnd(after)
            index = after
    return {"left": len(visits) - made, "travel": travel}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump({"pyvrp": pyvrp, "ortools": ortools}[asked["solver"]](asked), sys.stdout)
