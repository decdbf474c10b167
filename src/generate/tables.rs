//! What fake visitors are made of: places, languages, names, systems, campaigns.

/// A place that a visitor lives in. Latitude and longitude are decimal degrees, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) country: &'static str,
    pub(super) timezone: &'static str,
    pub(super) name: &'static str,
    pub(super) latitude: &'static str,
    pub(super) longitude: &'static str,
}

/// Returns the places in the table beside this file, in its order.
pub(super) fn places() -> Vec<Place> {
    include_str!("places.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(place).collect()
}

fn place(line: &'static str) -> Option<Place> {
    let mut columns = line.split('\t');
    Some(Place {
        country: columns.next()?,
        timezone: columns.next()?,
        name: columns.next()?,
        latitude: columns.next()?,
        longitude: columns.next()?,
    })
}

/// Returns the languages, as locales with an underscore.
pub(super) fn languages() -> Vec<&'static str> {
    LANGUAGES.split_ascii_whitespace().collect()
}

const LANGUAGES: &str = "\
    aa_DJ aa_ER aa_ET af_ZA ak_GH am_ET an_ES apn_IN ar_DJ ar_IN ar_IQ ar_KM ar_KW ar_LY ar_MA ar_OM ar_SD ar_SS \
    ar_SY ar_YE as_IN ast_ES ayc_PE az_AZ az_IN be_BY bem_ZM ber_DZ ber_MA bg_BG bhb_IN bho_IN bn_BD bn_IN bo_CN \
    bo_IN br_FR brx_IN bs_BA byn_ER ca_AD ca_ES ca_IT ce_RU ckb_IQ cmn_TW crh_UA cs_CZ csb_PL cv_RU cy_GB da_DK \
    de_AT de_CH de_LI de_LU doi_IN dv_MV dz_BT el_CY el_GR en_BW en_DK en_NG en_SG en_US en_ZW eo_US es_BO es_CO \
    es_CU es_ES es_HN es_MX es_PA es_US et_EE eu_ES eu_FR fa_IR ff_SN fi_FI fil_PH fo_FO fr_CA fr_CH fr_FR fr_LU \
    fur_IT fy_DE fy_NL ga_IE gd_GB gez_ER gez_ET gl_ES gu_IN gv_GB ha_NG hak_TW he_IL hi_IN hne_IN hr_HR hsb_DE \
    ht_HT hu_HU hy_AM ia_FR id_ID ig_NG ik_CA is_IS it_CH it_IT iu_CA iw_IL ja_JP ka_GE kk_KZ kl_GL km_KH kn_IN \
    ko_KR kok_IN ks_IN ku_TR kw_GB ky_KG lb_LU lg_UG li_BE li_NL lij_IT ln_CD lo_LA lt_LT lv_LV lzh_TW mag_IN \
    mai_IN mg_MG mhr_RU mi_NZ mk_MK ml_IN mn_MN mni_IN mr_IN ms_MY mt_MT my_MM nan_TW nb_NO nds_DE nds_NL ne_NP \
    nhn_MX niu_NU niu_NZ nl_AW nl_BE nl_NL nn_NO nr_ZA nso_ZA oc_FR om_ET om_KE or_IN os_RU pa_IN pa_PK pap_AN \
    pap_AW pap_CW pl_PL ps_AF pt_BR pt_PT quz_PE raj_IN ro_RO ru_RU ru_UA rw_RW sa_IN sat_IN sc_IT sd_IN sd_PK \
    se_NO shs_CA si_LK sid_ET sk_SK sl_SI so_DJ so_ET so_KE so_SO sq_AL sq_ML sr_ME sr_RS ss_ZA st_ZA sv_FI sv_SE \
    sw_KE sw_TZ szl_PL ta_IN ta_LK tcy_IN te_IN tg_TJ th_TH the_NP ti_ER ti_ET tig_ER tk_TM tl_PH tn_ZA tr_CY \
    tr_TR ts_ZA tt_RU ug_CN uk_UA unm_US ur_IN ur_PK uz_UZ ve_ZA vi_VN wa_BE wae_CH wal_ET wo_SN xh_ZA yi_US yo_NG \
    yue_HK zh_CN zh_HK zh_SG zh_TW zu_ZA";

/// Where visitors come from, with the weight of each.
pub(super) const SOURCES: &[(u64, &str)] =
    &[(302, "facebook"), (284, "mailchimp"), (200, "instagram"), (166, "google"), (48, "bing")];

/// The kinds of marketing that brought them, with weights.
pub(super) const MEDIUMS: &[(u64, &str)] = &[(389, "organic"), (265, "cpc"), (244, "social"), (102, "affiliate")];

/// The advertisements that they saw, with weights.
pub(super) const CONTENTS: &[(u64, &str)] = &[(272, "ad_2"), (266, "ad_4"), (208, "ad_5"), (195, "ad_3"), (59, "ad_1")];

/// The campaigns that these belong to, with weights.
pub(super) const CAMPAIGNS: &[(u64, &str)] = &[(803, "campaign_1"), (197, "campaign_2")];

/// Devices that run iOS, as user agents name them.
pub(super) const IOS_DEVICES: &[&str] = &["iPhone; CPU iPhone OS", "iPad; CPU iPad OS"];

/// Versions of iOS.
pub(super) const IOS: &[&str] =
    &["3_1_3", "4_2_1", "5_1_1", "6_1_6", "7_1_2", "9_3_5", "9_3_6", "10_3_3", "10_3_4", "12_4"];

/// Versions of Android.
pub(super) const ANDROID: &[&str] = &[
    "1.0", "1.1", "1.5", "1.6", "2.0", "2.0.1", "2.1", "2.2", "2.2.1", "2.2.2", "2.2.3", "2.3", "2.3.1", "2.3.2",
    "2.3.3", "2.3.4", "2.3.5", "2.3.6", "2.3.7", "3.0", "3.1", "3.2", "3.2.1", "3.2.2", "3.2.4", "3.2.6", "4.0",
    "4.0.1", "4.0.2", "4.0.3", "4.0.4", "4.1", "4.1.1", "4.1.2", "4.2", "4.2.1", "4.2.2", "4.3", "4.3.1", "4.4",
    "4.4.1", "4.4.2", "4.4.3", "4.4.4", "5.0", "5.0.1", "5.0.2", "5.1", "5.1.1", "6.0", "6.0.1", "7.0", "7.1", "7.1.1",
    "7.1.2", "8.0.0", "8.1.0", "9",
];

/// Versions of Windows.
pub(super) const WINDOWS: &[&str] = &[
    "Windows CE",
    "Windows 95",
    "Windows 98",
    "Windows 98; Win 9x 4.90",
    "Windows NT 4.0",
    "Windows NT 5.0",
    "Windows NT 5.01",
    "Windows NT 5.1",
    "Windows NT 5.2",
    "Windows NT 6.0",
    "Windows NT 6.1",
    "Windows NT 6.2",
];

/// Kinds of Macintosh.
pub(super) const MACS: &[&str] = &["Macintosh; Intel", "Macintosh; PPC", "Macintosh; U; Intel", "Macintosh; U; PPC"];

/// Kinds of Linux.
pub(super) const LINUX: &[&str] = &["X11; Linux i686", "X11; Linux x86_64"];

/// First names, in lower case.
pub(super) const FIRST_NAMES: &[&str] = &[
    "aaron",
    "adam",
    "alice",
    "amanda",
    "amber",
    "amy",
    "andrew",
    "angela",
    "anna",
    "anthony",
    "ashley",
    "barbara",
    "benjamin",
    "beth",
    "brandon",
    "brian",
    "brittany",
    "calvin",
    "carmen",
    "charles",
    "christina",
    "christopher",
    "claire",
    "crystal",
    "daniel",
    "david",
    "deborah",
    "denise",
    "diana",
    "donald",
    "dylan",
    "earl",
    "elizabeth",
    "emily",
    "eric",
    "erin",
    "frank",
    "gary",
    "george",
    "gerald",
    "hannah",
    "heather",
    "jacob",
    "james",
    "jason",
    "jeffrey",
    "jennifer",
    "jeremy",
    "jessica",
    "john",
    "joseph",
    "joshua",
    "julia",
    "justin",
    "karen",
    "katherine",
    "kayla",
    "kelly",
    "kenneth",
    "kevin",
    "kristen",
    "laura",
    "levi",
    "linda",
    "lisa",
    "maria",
    "mario",
    "mark",
    "mary",
    "matthew",
    "maureen",
    "megan",
    "melissa",
    "michael",
    "michelle",
    "nancy",
    "natalie",
    "nicole",
    "omar",
    "pamela",
    "patricia",
    "patrick",
    "paul",
    "rachel",
    "rebecca",
    "richard",
    "robert",
    "ryan",
    "samantha",
    "sandra",
    "sarah",
    "scott",
    "sean",
    "shannon",
    "stephanie",
    "steven",
    "susan",
    "teresa",
    "thomas",
    "timothy",
    "toni",
    "travis",
    "tyler",
    "vanessa",
    "victoria",
    "walter",
    "wendy",
    "william",
    "xavier",
    "yolanda",
    "zachary",
];

/// Last names, in lower case.
pub(super) const LAST_NAMES: &[&str] = &[
    "acevedo",
    "adams",
    "aguilar",
    "allen",
    "anderson",
    "andrews",
    "bailey",
    "baker",
    "barnes",
    "bell",
    "bennett",
    "berry",
    "bradshaw",
    "brooks",
    "brown",
    "bryant",
    "butler",
    "campbell",
    "carrillo",
    "carter",
    "chandler",
    "chung",
    "clark",
    "coleman",
    "collins",
    "contreras",
    "cook",
    "cooper",
    "cox",
    "cruz",
    "davis",
    "diaz",
    "dixon",
    "edwards",
    "evans",
    "ferguson",
    "fisher",
    "flores",
    "foster",
    "fowler",
    "garcia",
    "gomez",
    "gonzalez",
    "gray",
    "green",
    "griffin",
    "hall",
    "hammond",
    "harrington",
    "harris",
    "hart",
    "hayes",
    "henderson",
    "hernandez",
    "hill",
    "howard",
    "hubbard",
    "hughes",
    "hunt",
    "jackson",
    "jenkins",
    "johnson",
    "jones",
    "kelly",
    "kent",
    "kim",
    "king",
    "lee",
    "levy",
    "lewis",
    "long",
    "lopez",
    "marshall",
    "martin",
    "martinez",
    "mcgee",
    "mckinney",
    "miller",
    "mitchell",
    "moore",
    "morgan",
    "morris",
    "mullen",
    "munoz",
    "murphy",
    "nelson",
    "nguyen",
    "norris",
    "owens",
    "parker",
    "patel",
    "perez",
    "perry",
    "peterson",
    "phillips",
    "potter",
    "powell",
    "price",
    "ramirez",
    "reed",
    "reyes",
    "richardson",
    "rivera",
    "roberts",
    "robinson",
    "rodriguez",
    "rogers",
    "ross",
    "russell",
    "sanchez",
    "sanders",
    "schmidt",
    "scott",
    "shaw",
    "simmons",
    "smith",
    "soto",
    "stewart",
    "sullivan",
    "taylor",
    "thomas",
    "thompson",
    "torres",
    "turner",
    "walker",
    "ward",
    "washington",
    "watson",
    "west",
    "white",
    "wilkinson",
    "williams",
    "wilson",
    "wood",
    "wright",
    "young",
];

/// Where they have their mail.
pub(super) const MAIL: &[&str] = &["gmail.com", "hotmail.com", "yahoo.com"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_place() {
        let places = places();
        assert_eq!(places.len(), 851);
        for place in places {
            assert_eq!(place.country.len(), 2, "{place:?}");
            assert!(place.timezone.parse::<chrono_tz::Tz>().is_ok(), "{place:?}");
            assert!(place.latitude.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 90.0), "{place:?}");
            assert!(place.longitude.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= 180.0), "{place:?}");
            assert!(!place.name.is_empty(), "{place:?}");
        }
    }

    #[test]
    fn a_language_is_a_locale() {
        assert_eq!(languages().len(), 250);
        assert!(languages().iter().all(|language| language.rsplit('_').next().is_some_and(|land| land.len() == 2)));
    }
}
