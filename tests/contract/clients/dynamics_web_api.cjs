// npm dynamics-web-api, unchanged, against the running service: what test_dynamics_web_api.py looks at, one JSON line
// per step on standard output. NODE_PATH names the node_modules; SERVER_URL, TOKEN and the rest come from the test.

const { DynamicsWebApi } = require("dynamics-web-api");

const { SERVER_URL, TOKEN, ADDRESS, THEIRS } = process.env;
const NOBODY = "00000000-0000-0000-0000-000000000009";
const mark = () => crypto.randomUUID();
const connect = (options = {}) =>
  new DynamicsWebApi({
    serverUrl: SERVER_URL,
    dataApi: { version: "9.2" },
    onTokenRefresh: async () => TOKEN,
    ...options,
  });
const api = connect();

function plain(error) {
  const { code, message } = error.error ?? error;
  return { code, message, status: error.status };
}

async function step(name, act) {
  const line = { step: name };
  let value;
  try {
    value = await act();
    // Batches bring errors among their answers, and an Error has nothing that JSON would show.
    const shown = (item) => (item instanceof Error ? plain(item) : item);
    line.value = Array.isArray(value) ? value.map(shown) : value ?? null;
  } catch (error) {
    line.error = plain(error);
  }
  console.log(JSON.stringify(line));
  return value;
}

function contacts(word, names) {
  return Promise.all(
    names.map((firstname) => api.create({ collection: "contacts", data: { firstname, department: word } })),
  );
}

async function firstnames(word) {
  const filter = `department eq '${word}'`;
  const question = { collection: "contacts", select: ["firstname"], filter, orderBy: ["firstname"] };
  const found = await api.retrieveMultiple(question);
  return found.value.map((row) => row.firstname);
}

async function rows() {
  const contact = await step("create", () =>
    api.create({ collection: "contacts", data: { lastname: "Tür ing", emailaddress1: "alan@x.example" } }),
  );
  const email = await step("create an email", () =>
    api.create({
      collection: "emails",
      data: {
        subject: "Offer",
        description: "<p>Hello</p>",
        followemailuserpreference: true,
        "regardingobjectid_contact@odata.bind": `/contacts(${contact})`,
        email_activity_parties: [
          { "partyid_contact@odata.bind": `contacts(${contact})`, participationtypemask: 2 },
          { addressused: "stranger@y.example", participationtypemask: 3 },
        ],
        email_activity_mime_attachment: [{ filename: "a.txt", mimetype: "text/plain", body: "dGhlIG9mZmVy" }],
      },
    }),
  );
  const made = await step("create and return", () =>
    api.create({
      collection: "contacts",
      data: { lastname: "Hopper" },
      returnRepresentation: true,
      select: ["fullname"],
    }),
  );
  await step("retrieve", () =>
    api.retrieve({
      collection: "emails",
      key: `{${email.toUpperCase()}}`,
      select: ["subject", "statuscode", "createdon", "_regardingobjectid_value"],
      expand: [{ property: "email_activity_parties", select: ["addressused"], filter: "participationtypemask ne 1" }],
      includeAnnotations: "*",
    }),
  );
  await step("times become dates", async () => {
    const row = await api.retrieve({ collection: "emails", key: email, select: ["createdon"] });
    return row.createdon instanceof Date;
  });
  await step("letters survive", async () => {
    const row = await api.retrieve({ collection: "contacts", key: contact, select: ["lastname"] });
    return row.lastname;
  });
  await step("retrieve a lookup", () =>
    api.retrieve({
      collection: "emails",
      key: email,
      navigationProperty: "regardingobjectid_contact",
      select: ["emailaddress1"],
    }),
  );
  await step("retrieve nobody", () => api.retrieve({ collection: "emails", key: NOBODY }));
  await step("retrieve unless unchanged", () =>
    api.retrieve({ collection: "contacts", key: made.contactid, ifnonematch: made["@odata.etag"] }),
  );

  const change = (options) => api.update({ collection: "contacts", data: { lastname: "Hop" }, ...options });
  await step("update", () => change({ key: made.contactid }));
  await step("update what has changed", () => change({ key: made.contactid, ifmatch: made["@odata.etag"] }));
  await step("update and return", () =>
    change({ key: made.contactid, returnRepresentation: true, select: ["fullname"] }),
  );
  await step("update nobody", () => change({ key: NOBODY }));
  await step("update one column", async () => {
    const fieldValuePair = { jobtitle: "Admiral" };
    await api.updateSingleProperty({ collection: "contacts", key: made.contactid, fieldValuePair });
    return api.retrieve({ collection: "contacts", key: made.contactid, select: ["jobtitle", "lastname"] });
  });

  const id = crypto.randomUUID();
  const upsert = (options) => api.upsert({ collection: "contacts", data: { lastname: "Lovelace" }, ...options });
  await step("upsert", async () => [id, await upsert({ key: id }), await upsert({ key: id })]);
  await step("upsert only what is new", () => upsert({ key: id, ifnonematch: "*" }));
  await step("upsert only what is there", () => upsert({ key: NOBODY, ifmatch: "*" }));
  await step("upsert by an alternate key", async () => {
    const key = `ee_externalid='${mark()}'`;
    const [first, second] = [await upsert({ key }), await upsert({ key, data: { firstname: "Ada" } })];
    const row = await api.retrieve({ collection: "contacts", key, select: ["fullname"] });
    return { same: first === second && first === row.contactid, fullname: row.fullname };
  });

  await step("associate by a lookup", async () => {
    const [primaryKey, navigationProperty] = [email, "regardingobjectid_contact_email"];
    await api.associateSingleValued({
      collection: "emails",
      primaryKey,
      navigationProperty,
      relatedCollection: "contacts",
      relatedKey: made.contactid,
    });
    const bound = await api.retrieve({ collection: "emails", key: email, select: ["_regardingobjectid_value"] });
    await api.disassociateSingleValued({ collection: "emails", primaryKey, navigationProperty });
    const free = await api.retrieve({ collection: "emails", key: email, select: ["_regardingobjectid_value"] });
    return [bound._regardingobjectid_value === made.contactid, free._regardingobjectid_value];
  });
  await step("associate by a collection", async () => {
    const relation = {
      collection: "contacts",
      primaryKey: contact,
      relationshipName: "Contact_Emails",
      relatedKey: email,
    };
    await api.associate({ ...relation, relatedCollection: "emails" });
    const bound = await api.retrieve({ collection: "emails", key: email, select: ["_regardingobjectid_value"] });
    await api.disassociate(relation);
    const free = await api.retrieve({ collection: "emails", key: email, select: ["_regardingobjectid_value"] });
    return [bound._regardingobjectid_value === contact, free._regardingobjectid_value];
  });
  await step("create in a collection", async () => {
    const data = { filename: "b.txt", mimetype: "text/plain", body: "dGhlIG9mZmVy" };
    await api.create({ collection: "emails", key: email, navigationProperty: "email_activity_mime_attachment", data });
    return (await api.retrieve({ collection: "emails", key: email, select: ["attachmentcount"] })).attachmentcount;
  });

  await step("delete a column", async () => {
    await api.deleteRecord({ collection: "contacts", key: made.contactid, property: "jobtitle" });
    return api.retrieve({ collection: "contacts", key: made.contactid, select: ["jobtitle"] });
  });
  await step("delete what has changed", () =>
    api.deleteRecord({ collection: "contacts", key: made.contactid, ifmatch: made["@odata.etag"] }),
  );
  await step("delete", () => api.deleteRecord({ collection: "contacts", key: made.contactid }));
  await step("delete again", () => api.deleteRecord({ collection: "contacts", key: made.contactid }));
}

async function lists() {
  const word = mark();
  await contacts(word, ["C", "A", "E", "B", "D"]);
  const filter = `department eq '${word}'`;
  const all = { collection: "contacts", select: ["firstname"], filter, orderBy: ["firstname desc"] };
  await step("list", () =>
    api.retrieveMultiple({ ...all, filter: `${filter} and firstname ne 'C'`, top: 2, count: true }),
  );
  await step("list with expanded rows", () => {
    const expand = [{ property: "ownerid", select: ["fullname"] }];
    return api.retrieveMultiple({ collection: "contacts", select: ["firstname"], filter, expand, top: 1 });
  });
  await step("list of a guid in braces", async () => {
    const [one] = (await api.retrieveMultiple(all)).value;
    const found = await api.retrieveMultiple({ ...all, filter: `contactid eq {${one.contactid.toUpperCase()}}` });
    return found.value.map((row) => row.firstname);
  });
  await step("pages", async () => {
    const pages = [];
    let next;
    do {
      const page = await api.retrieveMultiple({ ...all, maxPageSize: 2 }, next);
      pages.push(page.value.map((row) => row.firstname));
      next = page.oDataNextLink;
    } while (next);
    return pages;
  });
  await step("all pages", async () => {
    const found = await api.retrieveAll({ ...all, orderBy: undefined, maxPageSize: 2 });
    return found.value.map((row) => row.firstname).sort();
  });
  await step("count", async () => {
    const collection = "contacts";
    const everything = await api.count({ collection });
    return [everything >= 5, await api.count({ collection, filter }), await api.countAll({ collection, filter })];
  });
  await step("a question too long for an address", async () => {
    const long = Array.from({ length: 100 }, (_, n) => `firstname eq 'Nobody ${n}'`).join(" or ");
    const found = await api.retrieveMultiple({ ...all, filter: `${filter} and (firstname eq 'A' or ${long})` });
    return found.value.map((row) => row.firstname);
  });
}

async function batches() {
  const word = mark();
  await step("batch", async () => {
    const [alan] = await contacts(word, ["Alan"]);
    api.startBatch();
    api.retrieveMultiple({ collection: "contacts", select: ["firstname"], filter: `department eq '${word}'` });
    api.create({ collection: "contacts", data: { firstname: "Ada", department: word }, inChangeSet: false });
    api.update({ collection: "contacts", key: alan, data: { firstname: "Alonzo" }, inChangeSet: false });
    const returned = { lastname: "Returned", department: word };
    api.create({ collection: "contacts", data: returned, returnRepresentation: true });
    api.deleteRecord({ collection: "contacts", key: alan });
    api.callFunction("WhoAmI");
    return api.executeBatch();
  });
  await step("references", async () => {
    const lastname = mark();
    api.startBatch();
    api.create({ collection: "accounts", data: { name: "Contoso" }, contentId: "1" });
    const data = { lastname, "parentcustomerid_account@odata.bind": "$1" };
    api.create({ collection: "contacts", data, contentId: "2" });
    api.update({ contentId: "$2", data: { jobtitle: "Engineer" } });
    const answers = await api.executeBatch();
    const select = ["jobtitle", "_parentcustomerid_value"];
    const row = await api.retrieve({ collection: "contacts", key: answers[1], select });
    return [row.jobtitle, row._parentcustomerid_value === answers[0]];
  });
  await step("create in a collection of what a change set created", async () => {
    api.startBatch();
    api.create({ collection: "emails", data: { subject: "Offer" }, contentId: "1" });
    const data = { filename: "b.txt", mimetype: "text/plain", body: "dGhlIG9mZmVy" };
    api.create({ contentId: "$1", collection: "email_activity_mime_attachment", data });
    const [email] = await api.executeBatch();
    return (await api.retrieve({ collection: "emails", key: email, select: ["attachmentcount"] })).attachmentcount;
  });
  const failing = mark();
  await step("a change set that fails", async () => {
    const [alan] = await contacts(failing, ["Alan"]);
    api.startBatch();
    api.create({ collection: "contacts", data: { firstname: "Ada", department: failing } });
    api.update({ collection: "contacts", key: alan, data: { firstname: "Changed" } });
    api.deleteRecord({ collection: "contacts", key: NOBODY });
    return api.executeBatch();
  });
  await step("what a failed change set leaves", () => firstnames(failing));
  for (const continueOnError of [false, true]) {
    const name = continueOnError ? "a batch that goes on" : "a batch that stops";
    const own = mark();
    await step(name, () => {
      api.startBatch();
      const inChangeSet = false;
      api.create({ collection: "contacts", data: { firstname: "A", department: own }, inChangeSet });
      api.create({ collection: "contacts", data: { nosuch: 1 }, inChangeSet });
      api.create({ collection: "contacts", data: { firstname: "B", department: own }, inChangeSet });
      return api.executeBatch({ continueOnError });
    });
    await step(`what ${name} leaves`, () => firstnames(own));
  }
}

async function actions() {
  await step("whoami", () => api.callFunction("WhoAmI"));
  const party = { addressused: ADDRESS, participationtypemask: 2 };
  const email = await api.create({
    collection: "emails",
    data: { subject: "Offer by dynamics-web-api", description: "<p>x</p>", email_activity_parties: [party] },
  });
  const attachment = await api.create({
    collection: "activitymimeattachments",
    data: {
      "objectid_email@odata.bind": `/emails(${email})`,
      objecttypecode: "email",
      filename: "a.txt",
      mimetype: "text/plain",
      body: "dGhlIG9mZmVy",
    },
  });
  for (const actionName of ["FollowEmailAttachment", "UnfollowEmailAttachment"]) {
    await step(actionName, async () => {
      const answer = await api.callAction({ actionName, action: { ActivityMimeAttachmentId: attachment } });
      const collection = "activitymimeattachments";
      const row = await api.retrieve({ collection, key: attachment, select: ["isfollowed"] });
      return [answer ?? null, row.isfollowed];
    });
  }
  await step("SendEmail", () =>
    api.callAction({
      collection: "emails",
      key: email,
      actionName: "Microsoft.Dynamics.CRM.SendEmail",
      action: { IssueSend: true },
    }),
  );
  await step("GetTrackingTokenEmail", () =>
    api.callAction({ actionName: "GetTrackingTokenEmail", action: { Subject: "Offer" } }),
  );
  await step("CreateMultiple", () => {
    const Targets = ["A", "B"].map((lastname) => ({ "@odata.type": "Microsoft.Dynamics.CRM.contact", lastname }));
    const actionName = "Microsoft.Dynamics.CRM.CreateMultiple";
    return api.callAction({ collection: "contacts", actionName, action: { Targets } });
  });
}

async function metadata() {
  const email = "LogicalName='email'";
  await step("retrieveEntities", () =>
    api.retrieveEntities({ select: ["LogicalName", "EntitySetName"], filter: "LogicalName eq 'email'" }),
  );
  const entity = await step("retrieveEntity", () =>
    api.retrieveEntity({ key: email, select: ["LogicalName", "PrimaryIdAttribute"] }),
  );
  await step("retrieveEntity by id", () => api.retrieveEntity({ key: entity.MetadataId, select: ["EntitySetName"] }));
  await step("retrieveAttributes", () =>
    api.retrieveAttributes({
      entityKey: email,
      castType: "Microsoft.Dynamics.CRM.PicklistAttributeMetadata",
      select: ["LogicalName"],
      filter: "LogicalName eq 'prioritycode'",
      expand: [{ property: "OptionSet", select: ["Options"] }],
    }),
  );
  await step("retrieveAttribute", () =>
    api.retrieveAttribute({
      entityKey: email,
      attributeKey: "LogicalName='subject'",
      select: ["LogicalName", "MaxLength"],
    }),
  );
  await step("retrieveAttribute of a type", () =>
    api.retrieveAttribute({
      entityKey: email,
      attributeKey: "LogicalName='subject'",
      castType: "Microsoft.Dynamics.CRM.StringAttributeMetadata",
      select: ["MaxLength"],
    }),
  );
  const relationships = await step("retrieveRelationships", () =>
    api.retrieveRelationships({
      castType: "Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
      select: ["SchemaName", "ReferencingEntityNavigationPropertyName"],
      filter: "ReferencingEntity eq 'email' and ReferencedEntity eq 'contact'",
    }),
  );
  await step("retrieveRelationship", async () => {
    const [one] = relationships.value;
    const castType = "Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata";
    const found = await api.retrieveRelationship({ key: one.MetadataId, castType, select: ["SchemaName"] });
    return found.SchemaName === one.SchemaName;
  });
  await step("retrieveGlobalOptionSets", () => api.retrieveGlobalOptionSets());
  await step("retrieveCsdlMetadata", async () => (await api.retrieveCsdlMetadata()).slice(0, 200));
  await step("names of tables instead of sets", async () => {
    const named = connect({ useEntityNames: true });
    const id = await named.create({ collection: "contact", data: { lastname: "Named" } });
    return (await named.retrieve({ collection: "contact", key: id, select: ["lastname"] })).lastname;
  });
}

async function errors() {
  const create = (data, options) => connect(options).create({ collection: "emails", data });
  await step("unknown column", () => create({ nosuch: 1 }));
  await step("unknown column in a list", () => api.retrieveMultiple({ collection: "emails", select: ["nosuch"] }));
  await step("unknown set", () => api.retrieveMultiple({ collection: "nosuches" }));
  await step("wrong type", () => create({ followemailuserpreference: "yes" }));
  await step("what another owns", () =>
    api.update({ collection: "contacts", key: THEIRS, data: { lastname: "Mine" } }),
  );
  await step("forged token", () => create({ subject: "s" }, { onTokenRefresh: async () => "forged" }));
  const fetchXml = '<fetch><entity name="email"><attribute name="subject"/></entity></fetch>';
  await step("fetchXml", () => api.fetch({ collection: "emails", fetchXml }));
  await step("apply", () => api.retrieveMultiple({ collection: "emails", apply: "groupby((statuscode))" }));
}

(async () => {
  for (const part of [rows, lists, batches, actions, metadata, errors]) {
    await step(part.name, part);
  }
})();
