// What a string says, in one form for both sides: the library's model on one, the binary's answer on the other. Left out
// is what the library cannot tell: a set that is there and empty from one that is not, and the highest id of a bit field.
import { GppModel } from "@iabgpp/cmpapi";
import { TCString } from "@iabtechlabtcf/core";

const NAMES = { 6: "uspv1", 7: "usnat", 8: "usca", 9: "usva", 10: "usco", 11: "usut", 12: "usct", 13: "usfl", 14: "usmt",
    15: "usor", 16: "ustx", 17: "usde", 18: "usia", 19: "usne", 20: "usnh", 21: "usnj", 22: "ustn", 23: "usmn", 24: "usmd",
    25: "usin", 26: "usky", 27: "usri" };

function ranges(vector) {
    const found = [];
    for (let id = 1; id <= vector.maxId; id += 1) {
        if (!vector.has(id)) continue;
        const last = found.at(-1);
        if (last && last[1] === id - 1) last[1] = id;
        else found.push([id, id]);
    }
    return found;
}

function joined(ids) {
    const sorted = [...new Set(ids)].sort((left, right) => left - right);
    const found = [];
    for (const id of sorted) {
        const last = found.at(-1);
        if (last && last[1] === id - 1) last[1] = id;
        else found.push([id, id]);
    }
    return found;
}

const numbers = (vector) => ranges(vector).flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at));
const seconds = (date) => Math.floor(date.getTime() / 1000);

function theirTcf(text) {
    const model = TCString.decode(text);
    const restrictions = model.publisherRestrictions.getRestrictions().map((restriction) => ({
        purpose: restriction.purposeId,
        type: restriction.restrictionType,
        vendors: joined(model.publisherRestrictions.getVendors(restriction)),
    }));
    restrictions.sort((left, right) => left.purpose - right.purpose || left.type - right.type);
    return {
        version: model.version, created: seconds(model.created), updated: seconds(model.lastUpdated),
        cmp: [model.cmpId, model.cmpVersion, model.consentScreen], language: model.consentLanguage,
        list: Number(model.vendorListVersion), policy: Number(model.policyVersion),
        switches: [model.isServiceSpecific, model.useNonStandardTexts, model.purposeOneTreatment],
        country: model.publisherCountryCode, features: numbers(model.specialFeatureOptins),
        consents: numbers(model.purposeConsents), interests: numbers(model.purposeLegitimateInterests),
        vendors: ranges(model.vendorConsents), vendorInterests: ranges(model.vendorLegitimateInterests),
        disclosed: ranges(model.vendorsDisclosed), restrictions,
        publisher: [numbers(model.publisherConsents), numbers(model.publisherLegitimateInterests), Number(model.numCustomPurposes),
            numbers(model.publisherCustomConsents), numbers(model.publisherCustomLegitimateInterests)],
    };
}

function ourTcf(answer) {
    if (answer.expect !== "valid") return { reason: answer.reason };
    const said = answer.decoded;
    const at = (time) => Date.parse(time) / 1000;
    const publisher = said.publisher_tc ?? { consents: [], li: [], num_custom: 0, custom_consents: [], custom_li: [] };
    return {
        reason: null,
        fields: {
            version: said.version, created: at(said.created), updated: at(said.last_updated),
            cmp: [said.cmp_id, said.cmp_version, said.consent_screen], language: said.consent_language,
            list: said.vendor_list_version, policy: said.policy_version,
            switches: [said.is_service_specific, said.use_non_standard_texts, said.purpose_one_treatment],
            country: said.publisher_cc, features: said.special_feature_opt_ins, consents: said.purposes_consent,
            interests: said.purposes_li, vendors: said.vendor_consents, vendorInterests: said.vendor_li,
            disclosed: said.disclosed_vendors ?? [],
            restrictions: said.publisher_restrictions.filter(({ vendors }) => vendors.length > 0),
            publisher: [publisher.consents, publisher.li, publisher.num_custom, publisher.custom_consents, publisher.custom_li],
        },
    };
}

/**
 * Fields by name, in order. What only one side has under a name of its own is left out, and so is a sub-section about
 * sensitive data that says nothing: the library shows zeros where it is missing.
 */
function plain(id, fields) {
    const skipped = ["GpcSegmentType", "GpcSegmentIncluded", "SensitiveDataConsentSegmentIncluded"];
    const silent = ([name, value]) => id >= 25 && name === "SensitiveDataProcessing" && value.every((entry) => entry === 0);
    return Object.fromEntries(Object.entries(fields).filter((field) => !skipped.includes(field[0]) && !silent(field)).sort());
}

function theirGpp(text) {
    const model = new GppModel(text);
    const object = model.toObject();
    const sections = {};
    for (const [id, name] of Object.entries(NAMES)) {
        const said = object[name];
        if (!said) continue;
        if (name === "uspv1") {
            sections[id] = [said.Notice, said.OptOutSale, said.LspaCovered];
        } else {
            sections[id] = plain(id, { ...said, Gpc: said.Gpc ?? false });
        }
    }
    return { ids: model.getSectionIds().filter((id) => id in NAMES), sections };
}

function ourGpp(answer) {
    if (answer.expect !== "valid") return { reason: answer.reason };
    const said = { ...answer.decoded.sections, ...answer.newer_us_sections };
    const broken = Object.values(said).find((section) => section.error);
    if (broken) return { reason: `section ${broken.error}` };
    const sections = {};
    for (const id of Object.keys(NAMES)) {
        const section = said[id];
        if (!section) continue;
        sections[id] = id === "6"
            ? [section.notice, section.opt_out_sale, section.lspa]
            : plain(id, { ...section.fields, Gpc: section.fields.Gpc ?? false });
    }
    return { reason: null, fields: { ids: answer.decoded.section_ids.filter((id) => id in NAMES), sections } };
}

export const tcfOf = { theirs: theirTcf, ours: ourTcf };
export const gppOf = { theirs: theirGpp, ours: ourGpp };
