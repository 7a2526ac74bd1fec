// The steps of the imapflow tests. A request in JSON comes on stdin; the last line says how many checks held.
"use strict";

const { isDeepStrictEqual, inspect } = require("node:util");
const request = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
// Node 18, that of Debian 12, has it under this name alone.
globalThis.crypto ??= require("node:crypto").webcrypto;
const { ImapFlow } = require(request.module);

let checks = 0;
const open = [];

function check(what, got, want) {
    if (!isDeepStrictEqual(got, want)) {
        const short = (value) => inspect(value, { depth: 6 }).slice(0, 600);
        throw new Error(`${what}: got ${short(got)}, expected ${short(want)}`);
    }
    checks += 1;
}

// A logged-in client; client.sent and client.heard are what went over the wire.
async function connect(options = {}) {
    const sent = [], heard = [];
    const log = (entry) => {
        if (entry.src === "c") sent.push(entry.msg);
        if (entry.src === "s") heard.push(entry.msg);
    };
    const { tls, ...more } = options;
    const client = new ImapFlow({
        host: request.host, port: request.ports.imaps, secure: true, disableAutoIdle: true,
        auth: { user: request.account, pass: request.password },
        tls: { ca: request.ca, ...tls },
        clientInfo: { name: "interop", version: "1" },
        logger: { trace: log, debug: log, info: log, warn: log, error: log, fatal: log },
        ...more,
    });
    client.on("error", () => {});
    client.sent = sent;
    client.heard = heard;
    await client.connect();
    open.push(client);
    return client;
}

const used = (client, pattern) => client.sent.some((line) => pattern.test(line));
const small = (subject, body = "x\r\n") =>
    Buffer.from(`From: a@remote.example\r\nTo: ${request.account}\r\nSubject: ${subject}\r\n` +
        `Date: Tue, 02 Jan 2024 03:04:05 +0000\r\nMessage-ID: <${subject}.${Date.now()}.${Math.random()}@interop.test>\r\n\r\n${body}`);

// The next event of a kind that pleases, with a limit of time.
function event(client, kind, pleases = () => true) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${kind} within 20 s`)), 20_000);
        client.on(kind, function listen(value) {
            if (!pleases(value)) return;
            clearTimeout(timer);
            client.off(kind, listen);
            resolve(value);
        });
    });
}

async function all(iterator) {
    const found = [];
    for await (const item of iterator) found.push(item);
    return found;
}

const steps = {
    async hello() {
        const client = await connect({ qresync: true });
        check("ID was exchanged", typeof client.serverInfo.name, "string");
        check("COMPRESS", [used(client, /COMPRESS DEFLATE/), Boolean(client._inflate)], [true, true]);
        const enabled = [...client.enabled].map((name) => name.toUpperCase());
        check("ENABLED", ["CONDSTORE", "QRESYNC", "IMAP4REV2"].filter((name) => !enabled.includes(name)), []);
        check("namespace", client.namespaces.personal[0], { prefix: "", delimiter: "/" });
        const quota = await client.getQuota("INBOX");
        check("quota", quota === false || typeof quota.path === "string", true);
        await client.logout();
        let refused = null;
        try {
            await connect({ auth: { user: request.account, pass: "wrong" } });
        } catch (why) {
            refused = why;
        }
        check("a wrong password", refused.authenticationFailed, true);
        check("its code", refused.serverResponseCode, "AUTHENTICATIONFAILED");
    },

    async folders() {
        const client = await connect();
        const made = await client.mailboxCreate(["Büro", "日本語", "& \"so\""]);
        check("created", [made.created, typeof made.mailboxId], [true, "string"]);
        check("again", (await client.mailboxCreate(made.path)).created, false);
        await client.append(made.path, small("one"), ["\\Seen"]);
        await client.append(made.path, small("two"));
        const list = await client.list({ statusQuery: { messages: true, unseen: true, uidNext: true, highestModseq: true, size: true } });
        const find = (path) => list.find((entry) => entry.path === path);
        const status = find(made.path).status;
        check("status in LIST", [status.messages, status.unseen, status.uidNext], [2, 1, 3]);
        check("it was one command", used(client, /RETURN \(.*STATUS \(/), true);
        check("nothing was asked singly", used(client, /^\S+ STATUS /), false);
        check("size", status.size > 300, true);
        for (const [use, path] of [["\\Sent", "Sent"], ["\\Trash", "Trash"], ["\\Drafts", "Drafts"], ["\\Junk", "Junk"], ["\\Archive", "Archive"]])
            check(`special use of ${path}`, [find(path).specialUse, find(path).specialUseSource], [use, "extension"]);
        await client.mailboxSubscribe(made.path);
        check("subscribed", (await client.list()).find((entry) => entry.path === made.path).subscribed === true, true);
        await client.mailboxUnsubscribe(made.path);
        check("unsubscribed", (await client.list()).find((entry) => entry.path === made.path).subscribed === true, false);
        const box = await client.mailboxOpen(made.path);
        check("the identifier is the same", box.mailboxId, made.mailboxId);
        await client.mailboxClose();
        await client.mailboxRename("Büro", "Office");
        const renamed = made.path.replace("Büro", "Office");
        check("the identifier stays", (await client.mailboxOpen(renamed)).mailboxId, made.mailboxId);
        await client.mailboxDelete(renamed);
        check("deleted", (await client.list()).some((entry) => entry.path === renamed), false);
    },

    async carries_messages() {
        const client = await connect();
        const sent = Object.entries(request.messages).map(([name, octets]) => [name, Buffer.from(octets, "base64")]);
        const when = new Date("2020-02-29T23:59:58Z");
        for (const [n, [, octets]] of sent.entries()) {
            const placed = await client.append("INBOX", octets, ["\\Seen", "$Label"], when);
            check("APPENDUID", [placed.uid, placed.path ?? placed.destination], [n + 1, "INBOX"]);
        }
        await client.mailboxOpen("INBOX");
        const query = { uid: true, flags: true, envelope: true, bodyStructure: true, size: true, internalDate: true, source: true, threadId: true, headers: ["subject", "message-id"] };
        const got = await all(client.fetch("1:*", query));
        check("count", got.length, sent.length);
        for (const [n, [name, octets]] of sent.entries()) {
            const item = got[n];
            check(`${name}: octets`, item.source.equals(octets), true);
            check(`${name}: size`, item.size, octets.length);
            check(`${name}: date`, item.internalDate, when);
            check(`${name}: flags`, [...item.flags].filter((flag) => flag !== "\\Recent").sort(), ["$Label", "\\Seen"]);
            check(`${name}: subject`, item.envelope.subject, name);
            check(`${name}: from`, item.envelope.from[0].address, request.account);
            check(`${name}: identifiers`, [typeof item.emailId, typeof item.threadId, typeof item.modseq], ["string", "string", "bigint"]);
            check(`${name}: header fields`, item.headers.toString().includes(`Subject: ${name}\r\n`), true);
        }
        const copied = (await client.messageCopy("1", "Archive", { uid: true })).uidMap.get(1);
        await client.mailboxOpen("Archive");
        const copy = await client.fetchOne(copied, { uid: true }, { uid: true });
        check("a copy has the same EMAILID", copy.emailId, got[0].emailId);
        check("found by it", await client.search({ emailId: got[0].emailId }, { uid: true }), [copied]);
        check("EMAILID was used", used(client, /SEARCH EMAILID/), true);
    },

    async parts_are_downloaded() {
        const client = await connect();
        const mixed = Buffer.from(request.messages.mixed, "base64");
        const placed = await client.append("INBOX", mixed);
        await client.mailboxOpen("INBOX");
        const wanted = mixed.toString("latin1").split("Content-Transfer-Encoding: base64\r\n\r\n")[1].split("--b 1--")[0];
        const octets = Buffer.from(wanted, "base64");
        for (const options of [{ uid: true }, { uid: true, binary: true }]) {
            const { meta, content } = await client.download(placed.uid, "2", options);
            const got = Buffer.concat(await all(content));
            check("the decoded part", [got.length, got.equals(octets)], [octets.length, true]);
            check("its kind", meta.contentType, "application/octet-stream");
        }
        check("it came in pieces", used(client, /BODY\.PEEK\[2\]<\d+\.\d+>/), true);
        check("and decoded here", used(client, /BINARY\.PEEK\[2\]/), true);
        const whole = await client.download(placed.uid, undefined, { uid: true });
        check("the whole", Buffer.concat(await all(whole.content)).equals(mixed), true);
        const many = await client.downloadMany(placed.uid, ["1", "2"], { uid: true });
        check("several parts", [many["1"].content.toString(), many["2"].content.equals(octets)], ["text", true]);
        const item = await client.fetchOne(placed.uid, { bodyStructure: true, bodyParts: ["1.MIME", { key: "2", start: 4, maxLength: 8 }] }, { uid: true });
        check("structure", item.bodyStructure.childNodes.map((part) => part.type), ["text/plain", "application/octet-stream"]);
        check("a piece", item.bodyParts.get("2").toString(), wanted.slice(4, 12));
    },

    async flags_moves_searches() {
        const client = await connect();
        for (let n = 0; n < 10; n += 1) await client.append("INBOX", small(`n${n}`, `body ${n} Gr\u00fc\u00dfe\r\n`), n % 2 ? ["\\Seen"] : [], new Date(Date.UTC(2024, 0, 1 + n)));
        const box = await client.mailboxOpen("INBOX");
        check("opened", [box.exists, box.uidNext, typeof box.highestModseq, box.readOnly], [10, 11, "bigint", false]);
        const start = box.highestModseq;
        const find = (query) => client.search(query, { uid: true });
        check("seen", await find({ seen: true }), [2, 4, 6, 8, 10]);
        check("text in UTF-8", await find({ body: "3 Grüße" }), [4]);
        check("or, not, dates", await find({ or: [{ subject: "n1" }, { subject: "n2" }, { subject: "n9" }], not: { since: new Date("2024-01-10T00:00:00Z") } }), [2, 3]);
        check("header", await find({ header: { "message-id": "<n7." } }), [8]);
        check("no such", await find({ subject: "nothing like it" }), []);
        check("+flags", await client.messageFlagsAdd("2,3", ["\\Flagged", "$Red"], { uid: true }), true);
        check("-flags", await client.messageFlagsRemove("2", ["\\Seen"], { uid: true }), true);
        check("flags", await client.messageFlagsSet("5", ["\\Draft"], { uid: true }), true);
        check("keyword", await find({ keyword: "$Red" }), [2, 3]);
        const changed = await all(client.fetch("1:*", { flags: true, uid: true }, { uid: true, changedSince: start }));
        check("changed since", changed.map((item) => item.uid), [2, 3, 5]);
        check("by a modseq", await find({ modseq: start + 1n }), [2, 3, 5]);
        const before = (await client.fetchOne("7", { flags: true }, { uid: true })).modseq;
        await client.messageFlagsAdd("7", ["\\Answered"], { uid: true });
        await client.messageFlagsAdd("7", ["\\Flagged"], { uid: true, unchangedSince: before });
        const seventh = await client.fetchOne("7", { flags: true }, { uid: true });
        check("unchangedSince held it back", [seventh.flags.has("\\Answered"), seventh.flags.has("\\Flagged")], [true, false]);
        const copied = await client.messageCopy("1:2", "Archive", { uid: true });
        check("COPYUID", [...copied.uidMap], [[1, 1], [2, 2]]);
        const moved = await client.messageMove("9:10", "Archive", { uid: true });
        check("moved", [...moved.uidMap], [[9, 3], [10, 4]]);
        check("with MOVE", used(client, /UID MOVE/), true);
        check("deleted", await client.messageDelete("3", { uid: true }), true);
        check("one expunged by its UID", used(client, /UID EXPUNGE 3/), true);
        check("left", await find({ all: true }), [1, 2, 4, 5, 6, 7, 8]);
        await client.mailboxOpen("Archive", { readOnly: true });
        const items = await client.fetchAll("1:*", { envelope: true, flags: true });
        check("there", items.map((item) => item.envelope.subject), ["n0", "n1", "n8", "n9"]);
        check("flags travel", [...items[1].flags].filter((flag) => flag !== "\\Recent").sort(), ["$Red", "\\Flagged"]);
    },

    async told_while_idle() {
        const watcher = await connect({ qresync: true });
        const other = await connect();
        await watcher.mailboxOpen("INBOX");
        await other.mailboxOpen("INBOX");
        watcher.idle().catch(() => {});
        let told = event(watcher, "exists");
        await other.append("INBOX", small("first"));
        const { count, prevCount } = await told;
        check("arrival", [count, prevCount], [1, 0]);
        told = event(watcher, "flags", (value) => value.flags.has("\\Flagged"));
        await other.messageFlagsAdd("1", ["\\Flagged"]);
        const flags = await told;
        check("flags", [flags.seq, typeof flags.modseq], [1, "bigint"]);
        told = event(watcher, "expunge");
        await other.messageDelete("1");
        const gone = await told;
        check("expunged", [gone.uid, gone.vanished, gone.earlier], [1, true, false]);
        check("IDLE", [used(watcher, /IDLE/), watcher.heard.some((line) => /VANISHED 1/.test(line))], [true, true]);
        check("and goes on", await watcher.search({ all: true }), []);
    },

    async comes_back_with_qresync() {
        const first = await connect({ qresync: true });
        for (let n = 0; n < 20; n += 1) await first.append("INBOX", small(`n${n}`));
        const known = await first.mailboxOpen("INBOX");
        await first.logout();
        const other = await connect();
        await other.mailboxOpen("INBOX");
        await other.messageFlagsAdd("4,5", ["\\Seen"], { uid: true });
        await other.messageDelete("7:9,12", { uid: true });
        await other.append("INBOX", small("new"));
        await other.logout();
        const back = await connect({ qresync: true });
        const gone = [], flags = [];
        back.on("expunge", (value) => gone.push(value));
        back.on("flags", (value) => flags.push(value));
        const box = await back.mailboxOpen("INBOX", { uidValidity: known.uidValidity, changedSince: known.highestModseq });
        check("QRESYNC was used", [used(back, /SELECT INBOX \(QRESYNC \(/), box.qresync], [true, true]);
        check("count", box.exists, 17);
        check("what is gone", gone.map((value) => value.uid).sort((a, b) => a - b), [7, 8, 9, 12]);
        check("earlier", gone.every((value) => value.vanished && value.earlier), true);
        check("what changed and what is new", flags.map((value) => value.uid).sort((a, b) => a - b), [4, 5, 21]);
        const again = await connect({ qresync: true });
        const nothing = [];
        again.on("expunge", (value) => nothing.push(value));
        again.on("flags", (value) => nothing.push(value));
        await again.mailboxOpen("INBOX", { uidValidity: box.uidValidity, changedSince: box.highestModseq });
        check("nothing more", nothing, []);
    },

    async gmail_labels() {
        const client = await connect();
        check("offered", client.capabilities.has("X-GM-EXT-1"), true);
        await client.append("INBOX", small("one"));
        await client.append("INBOX", Buffer.from(request.messages.mixed, "base64"));
        await client.mailboxOpen("INBOX");
        check("labelled", await client.messageFlagsAdd("1:2", ["work/a", "two words"], { uid: true, useLabels: true }), true);
        check("unlabelled", await client.messageFlagsRemove("2", ["work/a"], { uid: true, useLabels: true }), true);
        const items = await client.fetchAll("1:*", { labels: true, threadId: true });
        check("labels", items.map((item) => [...item.labels].sort()), [["two words", "work/a"], ["two words"]]);
        const find = (query) => client.search(query, { uid: true });
        check("by labels", await find({ labels: { has: ["two words"], not: ["work/a"] } }), [2]);
        check("by a query", await find({ gmraw: "subject:one" }), [1]);
        check("it went as X-GM-RAW", used(client, /X-GM-RAW/), true);
        const status = await client.status("work/a", { messages: true });
        check("it is a mailbox", status.messages, 1);
    },

    // STARTTLS, LOGIN, no extension that must be enabled, no compression.
    async old_style() {
        const client = await connect({
            port: request.ports.imap, secure: false, doSTARTTLS: true, disableCompression: true, disableAutoEnable: true,
            disableIMAP4rev2: true, disableBinary: true, auth: { user: request.account, pass: request.password, loginMethod: "LOGIN" },
        });
        check("STARTTLS, LOGIN", [used(client, /STARTTLS/), used(client, / LOGIN /), used(client, /ENABLE/)], [true, true, false]);
        await client.append("Büro", small("x")).then(() => { throw new Error("no such mailbox"); }, (why) => check("TRYCREATE", why.serverResponseCode, "TRYCREATE"));
        await client.mailboxCreate("Büro");
        check("the name went in modified UTF-7", used(client, /B&APw-ro/), true);
        await client.append("Büro", small("x"));
        check("STATUS", (await client.status("Büro", { messages: true, unseen: true })).messages, 1);
        await client.mailboxOpen("Büro");
        check("search", await client.search({ body: "x" }), [1]);
    },
};

steps[request.step]().then(
    async () => {
        for (const client of open) if (client.usable) await client.logout();
        console.log(JSON.stringify({ checks }));
        process.exit(0);
    },
    (why) => {
        console.log(why.stack);
        for (const client of open.slice(-1)) console.log([...client.sent.slice(-6), ...client.heard.slice(-6)].map((line) => String(line).slice(0, 300)).join("\n"));
        process.exit(1);
    },
);
