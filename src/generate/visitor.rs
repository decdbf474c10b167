//! A fake visitor, and the parts of an event that stay the same throughout a session.
//!
//! An event is some 1,080 bytes, of which all but the id, the time and the page are the same for a whole session: they
//! are rendered when the session begins and copied from then on.

use super::device::Device;
use super::random::Random;
use super::tables::{self, Place};
use super::text::{append, append_escaped};

/// The tables that visitors are drawn from.
#[derive(Debug)]
pub(super) struct World {
    places: Vec<Place>,
    languages: Vec<&'static str>,
}

impl World {
    pub(super) fn new() -> Self {
        Self { places: tables::places(), languages: tables::languages() }
    }
}

/// A visitor in the middle of a session.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    /// The page that the visitor opens next.
    pub(super) page: u32,
    /// JSON fields `referer_url` to `click_id`, each followed by a comma: the same throughout a session.
    session: Vec<u8>,
    /// JSON fields `geo_latitude` to `user_domain_id` and the closing brace: the same throughout a visitor's life.
    person: Vec<u8>,
}

impl Visitor {
    /// Appends the fields that are the same for the whole session, and the closing brace.
    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.session);
        out.extend_from_slice(&self.person);
    }

    /// Begins a new session of the same person.
    pub(super) fn begin_session(&mut self, random: &mut Random) {
        let source = random.pick_weighted(tables::SOURCES);
        let referer = if matches!(source, "google" | "bing") { "search" } else { "internal" };
        let medium = random.pick_weighted(tables::MEDIUMS);
        let content = random.pick_weighted(tables::CONTENTS);
        let campaign = random.pick_weighted(tables::CAMPAIGNS);
        let out = &mut self.session;
        out.clear();
        append(
            out,
            format_args!(
                "\"referer_url\": \"www.{source}.com\", \"referer_url_scheme\": \"http\", \
                 \"referer_url_port\": \"80\", \"referer_medium\": \"{referer}\", \"utm_medium\": \"{medium}\", \
                 \"utm_source\": \"{source}\", \"utm_content\": \"{content}\", \"utm_campaign\": \"{campaign}\", \
                 \"click_id\": \""
            ),
        );
        random.uuid(out);
        out.extend_from_slice(b"\", ");
    }

    /// Becomes another person, who lives elsewhere and uses another device.
    pub(super) fn become_another(&mut self, random: &mut Random, world: &World) {
        let place = random.pick(&world.places);
        let device = Device::draw(random);
        let language = random.pick(&world.languages);
        let Place { country, timezone, latitude, longitude, name } = place;
        let out = &mut self.person;
        out.clear();
        append(
            out,
            format_args!(
                "\"geo_latitude\": \"{latitude}\", \"geo_longitude\": \"{longitude}\", \
                 \"geo_country\": \"{country}\", \"geo_timezone\": \"{timezone}\", \"geo_region_name\": \""
            ),
        );
        append_escaped(out, name);
        let [a, b, c, d] = [random.between(1, 223), random.below(256), random.below(256), random.between(1, 254)];
        append(
            out,
            format_args!(
                "\", \"ip_address\": \"{a}.{b}.{c}.{d}\", \"browser_name\": \"{}\", \"browser_user_agent\": \"",
                device.browser.name()
            ),
        );
        let locale = random.pick(&world.languages);
        device.append_user_agent(out, random, locale);
        append(out, format_args!("\", \"browser_language\": \"{language}\", \"os\": \""));
        device.system.append_to(out);
        let (kind, is_mobile) = if device.system.is_mobile() { ("Mobile", true) } else { ("Computer", false) };
        append(
            out,
            format_args!(
                "\", \"os_name\": \"{}\", \"os_timezone\": \"{timezone}\", \"device_type\": \"{kind}\", \
                 \"device_is_mobile\": {is_mobile}, \"user_custom_id\": \"",
                device.system.name()
            ),
        );
        append_mail(out, random);
        out.extend_from_slice(b"\", \"user_domain_id\": \"");
        random.uuid(out);
        out.extend_from_slice(b"\"}");
    }
}

/// Appends a mail address, in one of the ways that people form them.
fn append_mail(out: &mut Vec<u8>, random: &mut Random) {
    let first = random.pick(tables::FIRST_NAMES);
    let last = random.pick(tables::LAST_NAMES);
    let host = random.pick(tables::MAIL);
    match random.below(4) {
        0 => append(out, format_args!("{first}{}@{host}", random.between(10, 99))),
        1 => append(out, format_args!("{first}{last}@{host}")),
        2 => append(out, format_args!("{last}{first}@{host}")),
        _ => append(out, format_args!("{}{last}@{host}", char::from(random.pick(b"abcdefghijklmnopqrstuvwxyz")))),
    }
}
