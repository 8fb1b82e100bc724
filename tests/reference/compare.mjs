// Compares `einklang signal decode` with the reference libraries on strings made here: valid ones, written by the
// libraries and by a writer of our own, and damaged ones. On valid strings every field has to agree. On damaged ones
// the two may differ only in ways that the table below names, each with the clause that decides it.
import { spawnSync } from "node:child_process";

import { GppModel } from "@iabgpp/cmpapi";
import { GVL, PurposeRestriction, TCModel, TCString } from "@iabtechlabtcf/core";

import { gppOf, tcfOf } from "./understood.mjs";
import { random, tcf } from "./writer.mjs";

const COUNT = Number(process.env.EINKLANG_REFERENCE_STRINGS ?? 1500);
const [binary] = process.argv.slice(2);

// What may differ: who accepts, why we refuse, and what decides it. "TCF" is "Consent string and vendor list formats
// v2", "GPP" the "Global Privacy Platform String" specification, "US" the technical specification of the section.
const DIFFERENCES = {
    "tcf: only we accept": "TCF, CmpId: twelve bits, all well formed; the ids 0 and 1, which the library throws at, make a string unusable here",
    "tcf: only the library accepts, trailing_bits": "TCF, base64url: a segment is padded with zeros, so a one is no padding",
    "tcf: only the library accepts, duplicate_segment": "TCF, segments: one core, and each optional segment at most once",
    "tcf: only the library accepts, unsupported_version": "TCF, core string: it is first, and its version is 2",
    "tcf: only the library accepts, bad_letter": "TCF, ConsentLanguage and PublisherCC: A to Z as 0 to 25",
    "tcf: only the library accepts, range_zero": "TCF, RangeEntry: vendor ids begin with 1",
    "tcf: only the library accepts, range_reversed": "TCF, RangeEntry: the end is greater than the start",
    "tcf: only the library accepts, range_beyond_max": "TCF, MaxVendorId: the greatest id for which there is a value",
    "tcf: only the library accepts, bad_purpose": "TCF, publisher restrictions: PurposeId is 1 to 24",
    "tcf: only the library accepts, bad_restriction_type": "TCF, RestrictionType: 3 is undefined",
    "gpp: only the library accepts, empty": "GPP, format: a header is always required",
    "gpp: only the library accepts, bad_character": "GPP, delimiters: URL-safe characters only",
    "gpp: only the library accepts, trailing_bits": "GPP, header: padded with zeros",
    "gpp: only the library accepts, section unsupported_section_version": "US, Version: the layout belongs to a version",
    "gpp: only the library accepts, section bad_value": "US, field values: 0, 1 and 2; 3 has no meaning",
    "gpp: only the library accepts, section trailing_bits": "GPP, section encoding: padded with zeros",
    "gpp: only the library accepts, section unknown_segment": "US, sub-sections: those that the section has, once",
    "gpp: only the library accepts, section empty_segment": "US, sub-sections: those that the section has",
    "gpp: only the library accepts, section truncated": "US, core: every field is present in full",
    "gpp: only the library accepts, section bad_section_header": "US, section header: the section's own id opens it; the library reads that as a version of the MSPA",
    "gpp: only the library accepts, section bad_us_privacy": "US Privacy: an opt-out that is not named cannot be honoured",
};

/** The answers of the binary, one a question. */
function ask(questions) {
    const input = questions.map((question) => JSON.stringify(question)).join("\n");
    const run = spawnSync(binary, ["signal", "decode"], { input, maxBuffer: 2 ** 30 });
    const lines = run.stdout.toString().split("\n").filter(Boolean);
    if (run.status !== 0 || lines.length !== questions.length) {
        throw new Error(`${run.status}: ${lines.length} answers to ${questions.length} questions: ${run.stderr}`);
    }
    return lines.map((line) => JSON.parse(line));
}

const pick = (list) => list[random(list.length)];
const some = (count, highest) => Array.from({ length: random(count + 1) }, () => 1 + random(highest));

/** A vendor list in which everything is registered in one way or another. */
function vendorList(vendors) {
    const purposes = Object.fromEntries(Array.from({ length: 11 }, (_, at) => [at + 1, { id: at + 1, name: "", description: "", illustrations: [] }]));
    const list = {};
    for (let id = 1; id <= vendors; id += 1) {
        list[id] = { id, name: `v${id}`, purposes: [1, 3, 7], legIntPurposes: [2, 10], flexiblePurposes: [2, 7], specialPurposes: [1], features: [], specialFeatures: [] };
    }
    return new GVL({
        gvlSpecificationVersion: 3, vendorListVersion: 177, tcfPolicyVersion: 5, lastUpdated: "2026-09-17T16:00:20Z",
        purposes, specialPurposes: { 1: { id: 1, name: "", description: "", illustrations: [] } }, features: {}, specialFeatures: {}, stacks: {}, dataCategories: {}, vendors: list,
    });
}

const list = vendorList(1400);

/** A TC string that the library writes. */
function written() {
    const model = new TCModel(list);
    model.cmpId = 2 + random(4094);
    model.cmpVersion = random(4096);
    model.consentScreen = random(64);
    model.publisherCountryCode = pick(["DE", "AA", "FR"]);
    model.isServiceSpecific = true;
    model.useNonStandardTexts = random(2) === 1;
    model.purposeOneTreatment = random(4) === 0;
    model.specialFeatureOptins.set(some(2, 2));
    model.purposeConsents.set(some(11, 11));
    model.purposeLegitimateInterests.set(some(6, 11));
    const highest = pick([10, 100, 1400]);
    model.vendorConsents.set(some(pick([3, 30, 300]), highest));
    model.vendorLegitimateInterests.set(some(pick([3, 30]), highest));
    model.vendorsDisclosed.set(some(pick([3, 30, 300]), highest));
    model.publisherConsents.set(some(6, 24));
    model.publisherLegitimateInterests.set(some(6, 24));
    model.numCustomPurposes = random(20);
    if (model.numCustomPurposes > 0) {
        model.publisherCustomConsents.set(some(6, model.numCustomPurposes));
    }
    for (let count = random(6); count > 0; count -= 1) {
        model.publisherRestrictions.add(1 + random(highest), new PurposeRestriction(pick([2, 7, 10]), random(3)));
    }
    return TCString.encode(model);
}

/** A GPP string that the library writes, with every field of every section at random. */
function writtenGpp() {
    const model = new GppModel();
    const sections = { usnat: 7, usca: 8, usva: 9, usco: 10, usut: 11, usct: 12, usfl: 13, usmt: 14, usor: 15, ustx: 16,
        usde: 17, usia: 18, usne: 19, usnh: 20, usnj: 21, ustn: 22, usmn: 23, usmd: 24, usin: 25, usky: 26, usri: 27 };
    const names = Object.keys(sections).filter(() => random(8) === 0);
    for (const name of names.length ? names : [pick(Object.keys(sections))]) {
        const opening = sections[name] < 24 ? "Version" : "MspaVersion";
        model.setFieldValue(name, opening, 1);
        for (const [field, value] of Object.entries(model.getSection(name))) {
            if (Array.isArray(value)) {
                model.setFieldValue(name, field, value.map(() => random(3)));
            } else if (field === "Gpc") {
                model.setFieldValue(name, field, random(4) === 0);
            } else if (!["Version", "MspaVersion", "GpcSegmentType"].includes(field)) {
                model.setFieldValue(name, field, field === "MspaCoveredTransaction" ? 1 + random(2) : random(3));
            }
        }
        if (name === "usnat") {
            model.setFieldValue(name, opening, 1 + random(2));
        }
        if (model.hasField(name, "GpcSegmentIncluded")) {
            model.setFieldValue(name, "GpcSegmentIncluded", random(2) === 0);
        }
    }
    if (random(2) === 0) {
        model.setFieldValue("uspv1", "Notice", pick(["Y", "N", "-"]));
        model.setFieldValue("uspv1", "OptOutSale", pick(["Y", "N"]));
        model.setFieldValue("uspv1", "LspaCovered", pick(["Y", "N", "-"]));
    }
    return model.encode();
}

/** A string with something wrong in it, or nothing: what a damaged link or a careless script makes of one. */
function damaged(text, joints) {
    const alphabet = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_${joints}`;
    const at = random(text.length);
    switch (random(7)) {
        case 0: return text.slice(0, at);
        case 1: return text.slice(0, at) + pick(alphabet) + text.slice(at + 1);
        case 2: return text.slice(0, at) + text.slice(at + 1);
        case 3: return text.slice(0, at) + pick(alphabet) + text.slice(at);
        case 4: return text + pick(alphabet);
        case 5: return text + joints[0] + text.slice(0, at);
        default: return text.split(joints[0]).reverse().join(joints[0]);
    }
}

const counts = new Map();
const faults = [];
const note = (what) => counts.set(what, (counts.get(what) ?? 0) + 1);

/** One string: what the library makes of it, and what we do. */
function hold(kind, valid, text, answer, understood) {
    let theirs = null;
    let refusal = null;
    try {
        theirs = understood.theirs(text);
    } catch (error) {
        refusal = error;
    }
    const ours = understood.ours(answer);
    const what = valid ? "valid" : "damaged";
    if (theirs !== null && ours.reason === null) {
        const left = JSON.stringify(theirs);
        const right = JSON.stringify(ours.fields);
        note(`${kind}, ${what}: both accept`);
        if (left !== right) {
            faults.push(`${kind}, ${what}: ${text}\n  library ${left}\n  ours    ${right}`);
        }
    } else if (theirs === null && ours.reason !== null) {
        note(`${kind}, ${what}: both refuse`);
        if (valid) {
            faults.push(`${kind}: nobody reads ${text}: ${refusal} ${ours.reason}`);
        }
    } else {
        const difference = theirs === null ? `${kind}: only we accept` : `${kind}: only the library accepts, ${ours.reason}`;
        note(difference);
        if (!(difference in DIFFERENCES) || (valid && theirs !== null)) {
            faults.push(`${difference}: ${text} (${refusal ?? ""})`);
        }
    }
}

const made = {
    tcf: Array.from({ length: COUNT }, (_, at) => (at % 2 === 0 ? written() : tcf())),
    gpp: Array.from({ length: COUNT }, writtenGpp),
};
for (const [kind, understood, joints] of [["tcf", tcfOf, "."], ["gpp", gppOf, "~."]]) {
    const broken = made[kind].flatMap((text) => [damaged(text, joints), damaged(damaged(text, joints), joints)]);
    for (const [valid, texts] of [[true, made[kind]], [false, broken]]) {
        const answers = ask(texts.map((input) => ({ kind, input })));
        texts.forEach((text, at) => hold(kind, valid, text, answers[at], understood));
    }
}
for (const [what, count] of [...counts].sort()) {
    console.log(`${String(count).padStart(6)}  ${what}${DIFFERENCES[what] ? `\n        ${DIFFERENCES[what]}` : ""}`);
}
if (faults.length > 0) {
    console.error(`${faults.length} strings are read differently and no clause says why:`);
    console.error(faults.slice(0, 5).join("\n").slice(0, 8000));
    process.exit(1);
}
