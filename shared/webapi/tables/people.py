"""People and companies: contact, account, lead, systemuser, queue (Microsoft's table reference of each)."""

from shared.webapi.schema import Column, Key, Table, audit, fixed, flag, guid, integer, lookup, memo, state, text, time


def _address() -> tuple[Column, ...]:
    return (
        text("address1_line1", 250),
        text("address1_line2", 250),
        text("address1_line3", 250),
        text("address1_city", 80),
        text("address1_stateorprovince", 50),
        text("address1_postalcode", 20),
        text("address1_country", 80),
        text("ee_timezone", 100),
        text("ee_externalid", 100),
    )


_KEYS = (Key("ee_externalid", ("ee_externalid",)),)


def _mail() -> tuple[Column, ...]:
    return (
        text("emailaddress1", 100),
        text("emailaddress2", 100),
        text("emailaddress3", 100),
        text("telephone1", 50),
        text("mobilephone", 20),
        text("websiteurl", 200),
        flag("followemail", True, yes="Allow", no="Do Not Allow"),
        flag("donotemail", False, yes="Do Not Allow", no="Allow"),
        flag("donotbulkemail", False, yes="Do Not Allow", no="Allow"),
    )


CONTACT = Table(
    "contact",
    "contacts",
    "contactid",
    "fullname",
    (
        guid("contactid"),
        fixed(text("fullname", 160)),
        text("salutation", 100),
        text("firstname", 50),
        text("middlename", 50),
        text("lastname", 50),
        text("nickname", 100),
        text("jobtitle", 100),
        text("department", 100),
        memo("description", 2000),
        *_mail(),
        *_address(),
        lookup("parentcustomerid", {"parentcustomerid_account": "account", "parentcustomerid_contact": "contact"}),
        *state(),
        *audit(),
    ),
    keys=_KEYS,
)

ACCOUNT = Table(
    "account",
    "accounts",
    "accountid",
    "name",
    (
        guid("accountid"),
        text("name", 160),
        text("accountnumber", 20),
        memo("description", 2000),
        integer("numberofemployees", high=1_000_000_000),
        *_mail(),
        *_address(),
        lookup("primarycontactid", {"primarycontactid": "contact"}),
        lookup("parentaccountid", {"parentaccountid": "account"}),
        *state(),
        *audit(),
    ),
    keys=_KEYS,
)

LEAD = Table(
    "lead",
    "leads",
    "leadid",
    "fullname",
    (
        guid("leadid"),
        text("subject", 300),
        fixed(text("fullname", 160)),
        text("salutation", 100),
        text("firstname", 50),
        text("middlename", 50),
        text("lastname", 50),
        text("companyname", 100),
        text("jobtitle", 100),
        memo("description", 2000),
        *_mail(),
        *_address(),
        lookup("parentaccountid", {"parentaccountid": "account"}),
        lookup("parentcontactid", {"parentcontactid": "contact"}),
        *state("Open", "Qualified"),
        *audit(),
    ),
    keys=_KEYS,
)

SYSTEMUSER = Table(
    "systemuser",
    "systemusers",
    "systemuserid",
    "fullname",
    (
        guid("systemuserid"),
        fixed(text("fullname", 200)),
        text("firstname", 256),
        text("lastname", 256),
        text("internalemailaddress", 100),
        text("domainname", 1024),
        text("title", 128),
        fixed(guid("azureactivedirectoryobjectid")),
        flag("isdisabled", False, yes="Disabled", no="Enabled"),
        fixed(time("createdon")),
        fixed(time("modifiedon")),
        fixed(guid("organizationid")),
        *(column for column in audit() if column.name == "versionnumber"),
    ),
    writers="administrator",
)

QUEUE = Table(
    "queue",
    "queues",
    "queueid",
    "name",
    (
        guid("queueid"),
        text("name", 200),
        text("emailaddress", 100),
        memo("description", 2000),
        *state(),
        *audit(),
    ),
    writers="administrator",
)

TABLES = (CONTACT, ACCOUNT, LEAD, SYSTEMUSER, QUEUE)
