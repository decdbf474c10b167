//! Devices: an operating system, a browser that runs on it, and the user agent that the two make.

use std::fmt;

use super::random::Random;
use super::tables;
use super::text::append;

/// What a visitor browses with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) system: System,
    pub(super) browser: Browser,
}

/// An operating system and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Ios { kind: &'static str, version: &'static str },
    Android { version: &'static str },
    Mac { kind: &'static str, minor: u64, patch: u64 },
    Windows { version: &'static str },
    Linux { kind: &'static str },
}

/// A browser's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Browser {
    #[default]
    Chrome,
    Firefox,
    Opera,
    Safari,
    InternetExplorer,
}

impl Browser {
    /// Draws a browser that runs on `system`.
    fn draw(random: &mut Random, system: System) -> Self {
        random.pick_weighted(match system {
            System::Ios { .. } => &[(60, Self::Chrome), (22, Self::Firefox), (18, Self::Safari)],
            System::Android { .. } => &[(60, Self::Chrome), (22, Self::Firefox), (18, Self::Opera)],
            System::Mac { .. } => &[(55, Self::Chrome), (27, Self::Firefox), (18, Self::Safari)],
            System::Windows { .. } => &[(30, Self::Chrome), (20, Self::Firefox), (50, Self::InternetExplorer)],
            System::Linux { .. } => &[(40, Self::Chrome), (30, Self::Firefox), (30, Self::Opera)],
        })
    }

    /// Returns the name as it stands in `browser_name`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chrome => "Chrome",
            Self::Firefox => "Firefox",
            Self::Opera => "Opera",
            Self::Safari => "Safari",
            Self::InternetExplorer => "InternetExplorer",
        }
    }
}

impl System {
    fn draw(random: &mut Random) -> Self {
        match random.below(1000) {
            0..395 => Self::Ios { kind: random.pick(tables::IOS_DEVICES), version: random.pick(tables::IOS) },
            395..695 => Self::Android { version: random.pick(tables::ANDROID) },
            695..859 => {
                Self::Mac { kind: random.pick(tables::MACS), minor: random.between(5, 12), patch: random.below(10) }
            }
            859..950 => Self::Windows { version: random.pick(tables::WINDOWS) },
            _ => Self::Linux { kind: random.pick(tables::LINUX) },
        }
    }

    /// Returns the name as it stands in `os_name`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ios { .. } => "iOS",
            Self::Android { .. } => "Android",
            Self::Mac { .. } => "MacOS",
            Self::Windows { .. } => "Windows",
            Self::Linux { .. } => "Linux",
        }
    }

    /// Whether it runs on phones and tablets.
    pub(super) const fn is_mobile(self) -> bool {
        matches!(self, Self::Ios { .. } | Self::Android { .. })
    }

    /// Appends the system as it stands in `os`, and inside a user agent.
    pub(super) fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Ios { kind, version } => append(out, format_args!("{kind} {version} like Mac OS X")),
            Self::Android { version } => append(out, format_args!("Android {version}")),
            Self::Mac { kind, minor, patch } => append(out, format_args!("{kind} Mac OS X 10_{minor}_{patch}")),
            Self::Windows { version } => out.extend_from_slice(version.as_bytes()),
            Self::Linux { kind } => out.extend_from_slice(kind.as_bytes()),
        }
    }
}

impl Device {
    /// Draws a device.
    pub(super) fn draw(random: &mut Random) -> Self {
        let system = System::draw(random);
        Self { system, browser: Browser::draw(random, system) }
    }

    /// Appends a user agent in the shape that this browser had on this system; `language` is a locale like `de_AT`.
    pub(super) fn append_user_agent(self, out: &mut Vec<u8>, random: &mut Random, language: &str) {
        match self.browser {
            Browser::Chrome => self.append_chrome(out, random),
            Browser::Firefox => self.append_firefox(out, random, Locale(language)),
            Browser::Opera => self.append_opera(out, random, Locale(language)),
            Browser::Safari => self.append_safari(out, random, Locale(language)),
            Browser::InternetExplorer => self.append_internet_explorer(out, random),
        }
    }

    fn append_chrome(self, out: &mut Vec<u8>, random: &mut Random) {
        let build = Build::draw(random);
        let [major, patch] = [random.between(13, 63), random.between(800, 899)];
        out.extend_from_slice(b"Mozilla/5.0 (");
        if matches!(self.system, System::Android { .. }) {
            out.extend_from_slice(b"Linux; ");
        }
        self.system.append_to(out);
        append(out, format_args!(") AppleWebKit/{build} (KHTML, like Gecko) "));
        if matches!(self.system, System::Ios { .. }) {
            append(out, format_args!("CriOS/{major}.0.{patch}.0 Mobile/{} Safari/{build}", Firmware::draw(random)));
        } else {
            append(out, format_args!("Chrome/{major}.0.{patch}.0 Safari/{build}"));
        }
    }

    fn append_firefox(self, out: &mut Vec<u8>, random: &mut Random, locale: Locale<'_>) {
        out.extend_from_slice(b"Mozilla/5.0 (");
        self.system.append_to(out);
        match self.system {
            System::Ios { .. } => {
                let build = Build::draw(random);
                let [major, minor, beta] = [random.between(9, 18), random.below(10), random.between(1000, 9999)];
                let letter = letter(random).to_ascii_lowercase();
                let firmware = Firmware::draw(random);
                append(out, format_args!(") AppleWebKit/{build} (KHTML, like Gecko) FxiOS/{major}.{minor}{letter}"));
                append(out, format_args!("{beta}.0 Mobile/{firmware} Safari/{build}"));
            }
            System::Android { .. } => {
                let major = random.between(5, 66);
                append(out, format_args!("; Mobile; rv:{major}.0) Gecko/{major}.0 Firefox/{major}.0"));
            }
            System::Mac { .. } | System::Windows { .. } | System::Linux { .. } => {
                if matches!(self.system, System::Windows { .. }) {
                    append(out, format_args!("; {locale}"));
                }
                let [minor, year, month, day] =
                    [random.between(1, 9), random.between(2010, 2025), random.between(1, 12), random.between(1, 28)];
                let [hour, minute, second] = [random.below(24), random.below(60), random.below(60)];
                append(out, format_args!("; rv:1.9.{minor}.20) Gecko/{year}-{month:02}-{day:02} "));
                let major = random.between(3, 15);
                append(out, format_args!("{hour:02}:{minute:02}:{second:02} Firefox/{major}.0"));
            }
        }
    }

    fn append_opera(self, out: &mut Vec<u8>, random: &mut Random, locale: Locale<'_>) {
        append(out, format_args!("Opera/{}.{}.(", random.between(8, 9), random.between(10, 99)));
        self.system.append_to(out);
        let [presto, version] = [random.between(160, 190), random.between(10, 12)];
        append(out, format_args!("; {locale}) Presto/2.9.{presto} Version/{version}.00"));
    }

    fn append_safari(self, out: &mut Vec<u8>, random: &mut Random, locale: Locale<'_>) {
        let build = Build::draw(random);
        let [middle, patch, version] = [random.between(1, 50), random.between(1, 7), random.between(3, 5)];
        out.extend_from_slice(b"Mozilla/5.0 (");
        self.system.append_to(out);
        let is_ios = matches!(self.system, System::Ios { .. });
        if !is_ios {
            append(out, format_args!(" rv:{}.0", random.between(2, 6)));
        }
        append(out, format_args!("; {locale}) AppleWebKit/{}.{middle}.{patch} (KHTML, like Gecko) ", build.major));
        append(out, format_args!("Version/{version}.0.5 "));
        if is_ios {
            append(out, format_args!("Mobile/8B{} Safari/6{}.{middle}.{patch}", 110 + patch, build.major));
        } else {
            append(out, format_args!("Safari/{}.{middle}.{patch}", build.major));
        }
    }

    fn append_internet_explorer(self, out: &mut Vec<u8>, random: &mut Random) {
        append(out, format_args!("Mozilla/5.0 (compatible; MSIE {}.0; ", random.between(5, 9)));
        self.system.append_to(out);
        append(out, format_args!("; Trident/{}.{})", random.between(3, 5), random.below(2)));
    }
}

fn letter(random: &mut Random) -> char {
    char::from(random.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
}

/// A build of the rendering engine: `532.1`.
#[derive(Debug, Clone, Copy)]
struct Build {
    major: u64,
    minor: u64,
}

impl Build {
    fn draw(random: &mut Random) -> Self {
        Self { major: random.between(531, 536), minor: random.below(3) }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The firmware of a phone or tablet: `30T737`.
#[derive(Debug, Clone, Copy)]
struct Firmware {
    year: u64,
    letter: char,
    number: u64,
}

impl Firmware {
    fn draw(random: &mut Random) -> Self {
        Self { year: random.below(100), letter: letter(random), number: random.below(1000) }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{}{:03}", self.year, self.letter, self.number)
    }
}

/// A locale as it stands in user agents: `de-AT`, from `de_AT`.
#[derive(Debug, Clone, Copy)]
struct Locale<'a>(&'a str);

impl fmt::Display for Locale<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('_') {
            Some((language, land)) => write!(f, "{language}-{land}"),
            None => f.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_agent(system: System, browser: Browser) -> String {
        let mut out = Vec::new();
        Device { system, browser }.append_user_agent(&mut out, &mut Random::new(1), "de_AT");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_user_agent_names_its_system() {
        let mut random = Random::new(5);
        for _ in 0..2000 {
            let device = Device::draw(&mut random);
            let mut system = Vec::new();
            device.system.append_to(&mut system);
            let system = String::from_utf8(system).expect("text");
            let agent = user_agent(device.system, device.browser);
            assert!(agent.contains(&system), "{agent} does not contain {system}");
        }
    }

    #[test]
    fn user_agents_have_the_shapes_of_their_browsers() {
        let iphone = System::Ios { kind: tables::IOS_DEVICES[0], version: "9_3_5" };
        let chrome = user_agent(iphone, Browser::Chrome);
        assert!(
            chrome.starts_with("Mozilla/5.0 (iPhone; CPU iPhone OS 9_3_5 like Mac OS X) AppleWebKit/53"),
            "{chrome}"
        );
        assert!(chrome.contains("CriOS/") && chrome.contains(" Mobile/"), "{chrome}");
        let opera = user_agent(System::Linux { kind: "X11; Linux i686" }, Browser::Opera);
        assert!(opera.starts_with("Opera/") && opera.contains("(X11; Linux i686; de-AT) Presto/2.9.1"), "{opera}");
        let explorer = user_agent(System::Windows { version: "Windows NT 6.1" }, Browser::InternetExplorer);
        assert!(
            explorer.starts_with("Mozilla/5.0 (compatible; MSIE ") && explorer.contains("; Windows NT 6.1; Trident/")
        );
    }
}
