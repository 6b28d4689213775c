"""Operations of the dispatcher's map: territories, where sites are, who is where."""

TERRITORIES = """
query Territories($active: Boolean = true) {
  territories(active: $active) {
    ...TerritoryRow
    polygon
  }
}

query TerritoryAt($lat: Float!, $lng: Float!, $datum: String! = "wgs84") {
  territoryAt(lat: $lat, lng: $lng, datum: $datum) {
    ...TerritoryRow
  }
}

mutation SaveTerritory($input: SaveTerritory!) {
  saveTerritory(input: $input) {
    territory {
      ...TerritoryRow
    }
    overlaps {
      id
      code
      areaM2
      share
    }
    placing
  }
}

mutation RetireTerritory($id: UUID!, $revision: Int) {
  retireTerritory(id: $id, revision: $revision) {
    ...TerritoryRow
  }
}

fragment TerritoryRow on Territory {
  id
  code
  name
  active
  revision
  outlined
  sites
  engineers
}
"""

SITE_PLACES = """
query UnplacedSites($first: Int! = 50, $after: String) {
  unplacedSites(first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      name
      address
      revision
    }
  }
}

query Geocode($text: String!) {
  geocode(text: $text) {
    kept
    candidates {
      lat
      lng
      label
      precision
      provider
      confidence
    }
  }
}

mutation SetSitePoint($siteId: UUID!, $lat: Float!, $lng: Float!, $datum: String! = "wgs84", $revision: Int) {
  setSitePoint(siteId: $siteId, lat: $lat, lng: $lng, datum: $datum, revision: $revision) {
    ...PlaceOfSite
  }
}

mutation SetSitePlace($siteId: UUID!, $input: SitePlace!, $revision: Int) {
  setSitePlace(siteId: $siteId, input: $input, revision: $revision) {
    ...PlaceOfSite
  }
}

mutation SetSiteTerritory($siteId: UUID!, $territoryId: UUID, $byPolygon: Boolean! = false) {
  setSiteTerritory(siteId: $siteId, territoryId: $territoryId, byPolygon: $byPolygon) {
    ...PlaceOfSite
  }
}

fragment PlaceOfSite on Site {
  id
  address
  lat
  lng
  geofenceRadiusM
  territoryId
  territoryBy
  revision
}
"""

POSITIONS = """
query LivePositions($first: Int! = 50, $after: String) {
  livePositions(first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      name
      territoryId
      lat
      lng
      accuracyM
      at
      ageS
    }
  }
}

query EngineerTrack($engineerId: UUID!, $start: DateTime!, $end: DateTime!) {
  engineerTrack(engineerId: $engineerId, start: $start, end: $end) {
    metres
    measuredMetres
    fixes
    dropped
    stops {
      start
      end
      lat
      lng
    }
    gaps {
      start
      end
      metres
    }
    line {
      at
      lat
      lng
    }
  }
}

query TravelSpeeds {
  travelSpeeds {
    hourOfWeek
    kmPerHour
    samples
  }
}

mutation LearnTravelSpeeds {
  learnTravelSpeeds
}
"""
