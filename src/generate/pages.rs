//! The pages of the fake web site and how a visitor walks through them.

use super::random::Random;

/// Which pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Site {
    /// The six pages of a small shop: home, two products, cart, payment, confirmation.
    #[default]
    Shop,
    /// This many pages (at least one), the popular ones far more often visited than the others.
    Catalog(u32),
}

/// The pages of the shop, in the order in which the walk's table names them.
const SHOP: [&str; 6] = ["/home", "/product_a", "/product_b", "/cart", "/payment", "/confirmation"];

/// How often a session starts on a page, in parts of 1,000.
const ENTRANCES: [(u64, u32); 3] = [(596, 0), (239, 1), (165, 2)];

/// Where a visitor goes from each page, in parts of 1,000; `LEAVE` ends the session.
const STEPS: [&[(u64, u32)]; 6] = [
    &[(400, 1), (275, 2), (200, 0), (14, 3), (6, 4), (6, 5), (99, LEAVE)],
    &[(530, 0), (230, 3), (100, 1), (58, 2), (7, 4), (6, 5), (69, LEAVE)],
    &[(530, 0), (235, 3), (100, 1), (55, 2), (7, 4), (7, 5), (66, LEAVE)],
    &[(620, 4), (260, 0), (45, 1), (30, 2), (5, 3), (5, 5), (35, LEAVE)],
    &[(660, 5), (155, 3), (85, 0), (45, 1), (25, 2), (30, LEAVE)],
    &[(330, 0), (150, 1), (75, 2), (14, 3), (6, 4), (425, LEAVE)],
];
const LEAVE: u32 = u32::MAX;
/// How likely a visitor of a catalog is to leave after a page: one in this many.
const CATALOG_PAGES_A_SESSION: u64 = 10;

/// The pages' paths, and the walk over them.
#[derive(Debug)]
pub(super) struct Pages {
    site: Site,
    paths: Vec<Box<str>>,
}

impl Pages {
    pub(super) fn new(site: Site) -> Self {
        let paths = match site {
            Site::Shop => SHOP.into_iter().map(Box::from).collect(),
            Site::Catalog(pages) => (1..=pages.max(1)).map(|page| format!("/catalog/item_{page}").into()).collect(),
        };
        Self { site, paths }
    }

    /// Returns how many pages there are.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns the path of page `page`, as it stands in `page_url_path`.
    pub(super) fn path(&self, page: u32) -> &str {
        usize::try_from(page).ok().and_then(|page| self.paths.get(page)).map_or("/", |path| path)
    }

    /// Returns the page that a session starts on.
    pub(super) fn entrance(&self, random: &mut Random) -> u32 {
        match self.site {
            Site::Shop => random.pick_weighted(&ENTRANCES),
            Site::Catalog(pages) => skewed(random, pages.max(1)),
        }
    }

    /// Returns the page that a visitor of `page` goes to next, or `None` if the session ends.
    #[inline]
    pub(super) fn next(&self, random: &mut Random, page: u32) -> Option<u32> {
        match self.site {
            Site::Shop => {
                let steps = usize::try_from(page).ok().and_then(|page| STEPS.get(page))?;
                Some(random.pick_weighted(steps)).filter(|next| *next != LEAVE)
            }
            Site::Catalog(pages) => (random.below(CATALOG_PAGES_A_SESSION) > 0).then(|| skewed(random, pages.max(1))),
        }
    }
}

/// Returns a page in `0..pages`, skewed as Zipf's law with exponent 1 is.
///
/// Page 0 is as popular as pages 1 and 2 together, as 3 to 6 together, and so on: each doubling of the rank has the
/// same share. This needs integers only, no table, and the same few steps for any number of pages.
fn skewed(random: &mut Random, pages: u32) -> u32 {
    let doublings = u64::from(u32::BITS - pages.leading_zeros());
    loop {
        let first = 1_u64 << random.below(doublings);
        let rank = first + random.below(first) - 1;
        if let Some(page) = u32::try_from(rank).ok().filter(|page| *page < pages) {
            return page;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_walk_adds_up_to_a_thousand() {
        for steps in STEPS {
            assert_eq!(steps.iter().map(|(weight, _)| weight).sum::<u64>(), 1000);
        }
        assert_eq!(ENTRANCES.iter().map(|(weight, _)| weight).sum::<u64>(), 1000);
    }

    #[test]
    fn home_is_visited_most_and_confirmation_least() {
        let pages = Pages::new(Site::Shop);
        let mut random = Random::new(3);
        let mut visits = [0_u32; 6];
        let mut page = pages.entrance(&mut random);
        for _ in 0..100_000 {
            visits[usize::try_from(page).expect("a page")] += 1;
            page = pages.next(&mut random, page).unwrap_or_else(|| pages.entrance(&mut random));
        }
        assert!(visits.is_sorted_by(|more, less| more > less), "{visits:?}");
        assert!((38_000..44_000).contains(&visits[0]), "{visits:?}");
        assert!((3_000..6_000).contains(&visits[5]), "{visits:?}");
    }

    #[test]
    fn each_doubling_of_the_rank_is_as_popular_as_the_one_before() {
        let mut random = Random::new(3);
        let mut visits = [0_u32; 4]; // ranks 0, 1-2, 3-6, 7-14
        for _ in 0..40_000 {
            let page = skewed(&mut random, 15);
            visits[usize::try_from((page + 1).ilog2()).expect("small")] += 1;
        }
        assert!(visits.iter().all(|visits| (9_700..10_300).contains(visits)), "{visits:?}");
    }

    #[test]
    fn a_catalog_has_as_many_pages_as_asked_for() {
        for pages in [1, 2, 3, 100] {
            let mut random = Random::new(3);
            let seen: std::collections::BTreeSet<u32> = (0..20_000).map(|_| skewed(&mut random, pages)).collect();
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..pages).collect::<Vec<_>>());
        }
        assert_eq!(Pages::new(Site::Catalog(12)).path(11), "/catalog/item_12");
    }
}
