"""Operations of the dispatcher's screen for plans."""

_WHAT = ("id", "kind", "startsAt", "endsAt", "territoryId", "policyVersion", "otherPolicyVersion", "planner")
_STATE = ("state", "stateText", "progress", "stage", "stageText", "fault", "cancelAsked", "revision")
_FIELDS = (*_WHAT, *_STATE, "askedAt", "finishedAt", "expiresAt")


def _run(depth: int) -> str:
    """A run's own fields, a line each."""
    return "".join(f"\n{'  ' * depth}{name}" for name in _FIELDS)


ASK_PLAN = f"""
mutation AskPlan(
  $start: DateTime!
  $end: DateTime!
  $territoryId: UUID
  $planner: String! = "vroom"
  $secondsMax: Float
  $seed: Int! = 1
) {{
  askPlan(
    start: $start
    end: $end
    territoryId: $territoryId
    planner: $planner
    secondsMax: $secondsMax
    seed: $seed
  ) {{{_run(2)}
  }}
}}
"""

ASK_WHAT_IF = f"""
mutation AskWhatIf(
  $start: DateTime!
  $end: DateTime!
  $policyVersion: Int!
  $otherPolicyVersion: Int!
  $territoryId: UUID
  $planner: String! = "vroom"
  $secondsMax: Float
  $seed: Int! = 1
) {{
  askWhatIf(
    start: $start
    end: $end
    policyVersion: $policyVersion
    otherPolicyVersion: $otherPolicyVersion
    territoryId: $territoryId
    planner: $planner
    secondsMax: $secondsMax
    seed: $seed
  ) {{{_run(2)}
  }}
}}
"""

PLAN = f"""
query Plan($id: UUID!, $kinds: [String!], $engineerId: UUID, $first: Int! = 200, $after: Int) {{
  plan(id: $id) {{{_run(2)}
    figures
    changes(kinds: $kinds, engineerId: $engineerId, first: $first, after: $after) {{
      endCursor
      hasMore
      nodes {{
        number
        kind
        state
        text
        orderId
        orderNumber
        priority
        siteName
        visitId
        visitRevision
        fromEngineerId
        fromStart
        engineerId
        crew
        startsAt
        endsAt
        travelMinutes
        legProvider
        legMetres
        pickupDepotId
        reasons {{
          code
          engineers
        }}
      }}
    }}
  }}
}}
"""

PLANS = f"""
query Plans($states: [String!], $kind: String, $first: Int! = 50, $after: String) {{
  plans(states: $states, kind: $kind, first: $first, after: $after) {{
    endCursor
    hasMore
    nodes {{{_run(3)}
    }}
  }}
}}
"""

ACCEPT_PLAN = """
mutation AcceptPlan(
  $id: UUID!
  $numbers: [Int!]
  $revision: Int
  $skipStale: Boolean! = false
  $tell: Boolean! = false
) {
  acceptPlan(id: $id, numbers: $numbers, revision: $revision, skipStale: $skipStale, tell: $tell) {
    taken
    visitIds
    skipped {
      number
      code
      text
    }
    plan {
      id
      state
      revision
    }
  }
}
"""

CANCEL_PLAN = """
mutation CancelPlan($id: UUID!) {
  cancelPlan(id: $id) {
    id
    state
    cancelAsked
  }
}
"""

REJECT_PLAN = """
mutation RejectPlan($id: UUID!, $revision: Int, $reason: String! = "") {
  rejectPlan(id: $id, revision: $revision, reason: $reason) {
    id
    state
    revision
  }
}
"""
