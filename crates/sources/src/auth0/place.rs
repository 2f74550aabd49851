//! Where an address is: Auth0's `location_info` as the contract's GeoJSON feature.

use std::collections::BTreeMap;

use event::model::{Feature, Geometry};
use serde_json::Value;

use super::fields::text;

/// The contract's name of a property, and where Auth0 keeps it.
const PROPERTIES: [(&str, &str); 6] = [
    ("city", "/location_info/city_name"),
    ("country", "/location_info/country_name"),
    ("countryCode", "/location_info/country_code"),
    ("continentCode", "/location_info/continent_code"),
    ("state", "/location_info/subdivision_name"),
    ("timeZone", "/location_info/time_zone"),
];

/// The place of the item's address. `None` when the item does not tell.
pub(super) fn read(data: &Value) -> Option<Feature> {
    let properties: BTreeMap<String, String> = PROPERTIES
        .iter()
        .filter_map(|(name, pointer)| Some(((*name).to_owned(), text(data, pointer)?)))
        .collect();
    let geometry = point(data);
    if properties.is_empty() && geometry.is_none() {
        return None;
    }
    Some(Feature { kind: Some("Feature".to_owned()), properties, geometry })
}

/// Longitude, then latitude (RFC 7946 section 3.1.1); only when both are on the globe.
fn point(data: &Value) -> Option<Geometry> {
    let degrees = |pointer: &str, bound: f64| {
        let degrees: f64 = text(data, pointer)?.parse().ok()?;
        (degrees.abs() <= bound).then_some(degrees)
    };
    let longitude = degrees("/location_info/longitude", 180.0)?;
    let latitude = degrees("/location_info/latitude", 90.0)?;
    Some(Geometry { kind: Some("Point".to_owned()), coordinates: vec![longitude, latitude] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn longitude_comes_first_and_what_is_off_the_globe_is_left_out() {
        let graz = json!({"location_info": {"city_name": "Graz", "latitude": "47.07", "longitude": 15.44}});
        let feature = read(&graz).unwrap();
        assert_eq!(feature.geometry.unwrap().coordinates, [15.44, 47.07]);
        assert_eq!(feature.properties["city"], "Graz");
        for off in [
            json!({"latitude": 91, "longitude": 0}),
            json!({"latitude": 1}),
            json!({"latitude": "NaN", "longitude": 1}),
        ] {
            assert_eq!(read(&json!({"location_info": off})), None);
        }
        assert_eq!(read(&json!({"location_info": "Graz"})), None);
    }
}
