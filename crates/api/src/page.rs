//! Lists, as every call of the contract pages and sorts them.

use std::cmp::Ordering;

use serde::Serialize;

use crate::error::ApiError;
use crate::query::Query;

/// Entries of a page when the caller does not say; the contract's value.
const DEFAULT_SIZE: u64 = 20;
/// Most entries of a page; the contract names no limit.
const MAX_SIZE: u64 = 2000;
/// Most sorting criteria.
const MAX_CRITERIA: usize = 8;

/// A property that a list can be sorted by: its name and how two entries compare.
pub(crate) type Column<T> = (&'static str, fn(&T, &T) -> Ordering);

/// One page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Paged<T> {
    content: Vec<T>,
    page: PageMetadata,
}

/// Which part of the list it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    number: u64,
    size: u64,
    total_elements: u64,
    total_pages: u64,
}

/// Sorts `entries` and cuts the page out that the query's `page`, `size` and `sort` ask for. A page beyond the end is
/// empty. Entries that compare equal stay in the order that they came in.
pub(crate) fn page_of<T, O>(
    query: &Query,
    mut entries: Vec<T>,
    columns: &[Column<T>],
    show: impl Fn(&T) -> O,
) -> Result<Paged<O>, ApiError> {
    let number = query.number("page", 0, 0, i64::MAX.unsigned_abs())?;
    let size = query.number("size", DEFAULT_SIZE, 1, MAX_SIZE)?;
    let criteria = criteria(query, columns)?;
    entries.sort_by(|a, b| {
        let mut orders = criteria.iter().map(|(compare, is_descending)| {
            let order = compare(a, b);
            if *is_descending { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    let total_elements = entries.len() as u64;
    let skipped = usize::try_from(number.saturating_mul(size)).unwrap_or(usize::MAX);
    let content = entries.iter().skip(skipped).take(size as usize).map(show).collect();
    let page = PageMetadata { number, size, total_elements, total_pages: total_elements.div_ceil(size) };
    Ok(Paged { content, page })
}

type Criterion<T> = (fn(&T, &T) -> Ordering, bool);

/// The query's `sort` parameters: `property`, `property,asc` or `property,desc`.
fn criteria<T>(query: &Query, columns: &[Column<T>]) -> Result<Vec<Criterion<T>>, ApiError> {
    let given: Vec<&str> = query.all("sort").collect();
    if given.len() > MAX_CRITERIA {
        return Err(Query::wrong("sort", &format!("must be given at most {MAX_CRITERIA} times")));
    }
    let parse = |text: &str| {
        let (property, direction) = text.split_once(',').unwrap_or((text, "asc"));
        let is_descending = match direction.trim().to_ascii_lowercase().as_str() {
            "asc" => false,
            "desc" => true,
            _ => return Err(Query::wrong("sort", "must have the form property,(asc|desc)")),
        };
        let column = columns.iter().find(|(name, _)| *name == property.trim());
        column.map(|(_, compare)| (*compare, is_descending)).ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            Query::wrong("sort", &format!("must name one of: {}", names.join(", ")))
        })
    };
    given.into_iter().map(parse).collect()
}

/// How people sort texts: without case first.
pub(crate) fn by_text(a: &str, b: &str) -> Ordering {
    a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| a.cmp(b))
}

/// Whether a name passes a filter: it contains the text, in any case. No filter lets all pass.
pub(crate) fn passes(name: &str, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| name.to_lowercase().contains(&filter.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry = (&'static str, u32);
    const ENTRIES: [Entry; 5] = [("b", 1), ("A", 2), ("c", 2), ("B", 1), ("a", 3)];
    const COLUMNS: [Column<Entry>; 2] = [("name", |a, b| by_text(a.0, b.0)), ("n", |a, b| a.1.cmp(&b.1))];

    fn page(query: &str) -> Result<Paged<String>, ApiError> {
        page_of(&Query::parse(query), ENTRIES.to_vec(), &COLUMNS, |(name, n)| format!("{name}{n}"))
    }

    #[test]
    fn lists_are_sorted_by_several_properties_and_cut() {
        assert_eq!(page("").unwrap().content, ["b1", "A2", "c2", "B1", "a3"]);
        assert_eq!(page("sort=name").unwrap().content, ["A2", "a3", "B1", "b1", "c2"]);
        assert_eq!(page("sort=n,desc&sort=name,DESC").unwrap().content, ["a3", "c2", "A2", "b1", "B1"]);
        let second = page("sort=name,asc&page=1&size=2").unwrap();
        assert_eq!(second.content, ["B1", "b1"]);
        assert_eq!(second.page, PageMetadata { number: 1, size: 2, total_elements: 5, total_pages: 3 });
        assert_eq!(page("page=9223372036854775807&size=2000").unwrap().content, [""; 0]);
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for query in [
            "page=-1",
            "page=x",
            "page=",
            "size=0",
            "size=2001",
            "page=1&page=2",
            "sort=age",
            "sort=name,up",
            "sort=",
            "size=99999999999999999999",
        ] {
            assert!(page(query).is_err(), "{query}");
        }
    }
}
