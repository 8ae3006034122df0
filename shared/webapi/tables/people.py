"""People and companies: contact, account, lead, systemuser, queue (Microsoft's table reference of each)."""

from shared.engagement import plain_text
from shared.engagement.zones import complaint
from shared.webapi.schema import (
    Collection,
    Column,
    Key,
    Table,
    audit,
    choice,
    fixed,
    flag,
    guid,
    integer,
    lookup,
    memo,
    personal,
    ruled,
    state,
    text,
    time,
    version,
)

_ALLOW = ("Allow", "Do Not Allow")
_DENY = ("Do Not Allow", "Allow")
_KEYS = (Key("ee_externalid", ("ee_externalid",)),)


def _address() -> tuple[Column, ...]:
    return (
        text("address1_line1", 250, label="Address 1: Street 1", about="Street, first line."),
        text("address1_line2", 250, label="Address 1: Street 2", about="Street, second line."),
        text("address1_line3", 250, label="Address 1: Street 3", about="Street, third line."),
        text("address1_city", 80, label="Address 1: City", about="City."),
        text("address1_stateorprovince", 50, label="Address 1: State/Province", about="State or province."),
        text("address1_postalcode", 20, label="Address 1: ZIP/Postal Code", about="Postal code."),
        text("address1_country", 80, label="Address 1: Country/Region", about="Country."),
        ruled(
            text(
                "ee_timezone",
                100,
                label="Time Zone",
                about="IANA name, such as Europe/Berlin; for the best time to send.",
            ),
            complaint,
        ),
        text("ee_externalid", 100, label="External Id", about="The record's id in another system; an alternate key."),
    )


def _mail() -> tuple[Column, ...]:
    return (
        ruled(text("emailaddress1", 100, label="Email", about="The address that mail goes to."), plain_text.complaint),
        ruled(text("emailaddress2", 100, label="Email Address 2", about="Another address."), plain_text.complaint),
        ruled(text("emailaddress3", 100, label="Email Address 3", about="Another address."), plain_text.complaint),
        text("telephone1", 50, label="Business Phone", about="Telephone."),
        text("mobilephone", 20, label="Mobile Phone", about="Mobile telephone."),
        text("websiteurl", 200, label="Website", about="Website."),
        flag("followemail", True, *_ALLOW, label="Follow Email Activity", about="Whether mail to them is followed."),
        flag("donotemail", False, *_DENY, label="Do not allow Emails", about="Whether they may be written to."),
        flag("donotbulkemail", False, *_DENY, label="Do not allow Bulk Emails", about="Kept, without effect."),
    )


def _consent() -> tuple[Column, ...]:
    return (
        choice(
            "ee_consent",
            {0: "Unknown", 1: "Granted", 2: "Denied", 3: "Withdrawn"},
            0,
            label="Consent To Following",
            about="What they said to being followed (docs/privacy.md). Denied and withdrawn set followemail to false.",
        ),
        time("ee_consentedon", label="Consent On", about="When they said so; now where it is not given."),
        text("ee_consentmethod", 500, label="Consent Method", about="How they said so; needed to grant."),
        memo("ee_consentwording", 4000, label="Consent Wording", about="What they were shown; needed to grant."),
    )


def _names(full: int = 160) -> tuple[Column, ...]:
    return (
        fixed(text("fullname", full, label="Full Name", about="First and last name.")),
        text("salutation", 100, about="How to address them."),
        ruled(text("firstname", 50, label="First Name", about="First name."), plain_text.complaint_of_name),
        ruled(text("middlename", 50, label="Middle Name", about="Middle name."), plain_text.complaint_of_name),
        ruled(text("lastname", 50, label="Last Name", about="Last name."), plain_text.complaint_of_name),
        text("jobtitle", 100, label="Job Title", about="What they do."),
    )


CONTACT = Table(
    "contact",
    "contacts",
    "contactid",
    "fullname",
    (
        guid("contactid", about="The key."),
        *_names(),
        text("nickname", 100, about="What friends say."),
        text("department", 100, about="Where they work in their company."),
        memo("description", 2000, about="Notes."),
        *_mail(),
        *_consent(),
        *_address(),
        lookup(
            "parentcustomerid",
            {"parentcustomerid_account": "account", "parentcustomerid_contact": "contact"},
            label="Company Name",
            about="The account or contact they belong to.",
        ),
        *state(),
        *audit(),
    ),
    collections={
        "Contact_Emails": Collection("email", "regardingobjectid"),
        "Contact_ActivityPointers": Collection("activitypointer", "regardingobjectid"),
        "contact_activity_parties": Collection("activityparty", "partyid"),
        "contact_actioncard": Collection("actioncard", "regardingobjectid"),
        "contact_customer_contacts": Collection("contact", "parentcustomerid"),
        "account_primary_contact": Collection("account", "primarycontactid"),
        "lead_parent_contact": Collection("lead", "parentcontactid"),
    },
    keys=_KEYS,
    about="A person.",
)

ACCOUNT = Table(
    "account",
    "accounts",
    "accountid",
    "name",
    (
        guid("accountid", about="The key."),
        ruled(text("name", 160, label="Account Name", about="The company's name."), plain_text.complaint_of_name),
        text("accountnumber", 20, label="Account Number", about="The company's number in the books."),
        memo("description", 2000, about="Notes."),
        integer("numberofemployees", high=10**9, label="Number of Employees", about="How many work there."),
        *_mail(),
        *_consent(),
        *_address(),
        lookup(
            "primarycontactid", {"primarycontactid": "contact"}, label="Primary Contact", about="Whom to turn to first."
        ),
        lookup(
            "parentaccountid",
            {"parentaccountid": "account"},
            label="Parent Account",
            about="The company it belongs to.",
        ),
        *state(),
        *audit(),
    ),
    collections={
        "Account_Emails": Collection("email", "regardingobjectid"),
        "Account_ActivityPointers": Collection("activitypointer", "regardingobjectid"),
        "account_activity_parties": Collection("activityparty", "partyid"),
        "account_actioncard": Collection("actioncard", "regardingobjectid"),
        "contact_customer_accounts": Collection("contact", "parentcustomerid"),
        "account_parent_account": Collection("account", "parentaccountid"),
        "lead_parent_account": Collection("lead", "parentaccountid"),
    },
    keys=_KEYS,
    about="A company.",
)

LEAD = Table(
    "lead",
    "leads",
    "leadid",
    "fullname",
    (
        guid("leadid", about="The key."),
        text("subject", 300, label="Topic", about="What it is about."),
        *_names(),
        text("companyname", 100, label="Company Name", about="The company's name."),
        memo("description", 2000, about="Notes."),
        *_mail(),
        *_consent(),
        *_address(),
        lookup(
            "parentaccountid",
            {"parentaccountid": "account"},
            label="Parent Account for lead",
            about="The company, where it is known.",
        ),
        lookup(
            "parentcontactid",
            {"parentcontactid": "contact"},
            label="Parent Contact for lead",
            about="The person, where they are known.",
        ),
        *state("Open", "Qualified"),
        *audit(),
    ),
    collections={
        "Lead_Emails": Collection("email", "regardingobjectid"),
        "Lead_ActivityPointers": Collection("activitypointer", "regardingobjectid"),
        "lead_activity_parties": Collection("activityparty", "partyid"),
        "Lead_actioncard": Collection("actioncard", "regardingobjectid"),
    },
    keys=_KEYS,
    source="sales",
    about="Somebody who may become a customer.",
)

SYSTEMUSER = Table(
    "systemuser",
    "systemusers",
    "systemuserid",
    "fullname",
    (
        guid("systemuserid", label="User", about="The key: the user's object id in Entra."),
        fixed(text("fullname", 200, label="Full Name", about="First and last name, or what the token says.")),
        ruled(text("firstname", 256, label="First Name", about="First name."), plain_text.complaint_of_name),
        ruled(text("lastname", 256, label="Last Name", about="Last name."), plain_text.complaint_of_name),
        ruled(
            text("internalemailaddress", 100, label="Primary Email", about="The mailbox that mail is sent from."),
            plain_text.complaint,
        ),
        ruled(text("domainname", 1024, label="User Name", about="The sign-in name."), plain_text.complaint),
        text("title", 128, about="What they do."),
        text("address1_telephone1", 64, label="Main Phone", about="Telephone."),
        text("mobilephone", 64, label="Mobile Phone", about="Mobile telephone."),
        fixed(guid("azureactivedirectoryobjectid", label="Azure AD Object ID", about="The key once more.")),
        personal(
            memo(
                "ee_cardkindsoff",
                1000,
                label="Kinds of Cards Off",
                about="Kinds of cards that they do not want, parted by semicolons (actioncard names them).",
            )
        ),
        personal(
            ruled(
                text(
                    "ee_timezone",
                    100,
                    label="Time Zone",
                    about="IANA name; by its clock they are told times. Without one the organization's.",
                ),
                complaint,
            )
        ),
        flag("isdisabled", False, "Disabled", "Enabled", label="Status", about="Whether the user is shut out."),
        fixed(time("createdon", label="Created On", about="When the user was first seen.")),
        fixed(time("modifiedon", label="Modified On", about="When the row was last changed.")),
        fixed(guid("organizationid", label="Organization", about="The organization.")),
        version(),
    ),
    writers="administrator",
    collections={"system_user_activity_parties": Collection("activityparty", "partyid")},
    label="User",
    plural="Users",
    schema_name="SystemUser",
    about="Somebody who signs in; made when they first do.",
)

QUEUE = Table(
    "queue",
    "queues",
    "queueid",
    "name",
    (
        guid("queueid", about="The key."),
        ruled(text("name", 200, about="What it is called."), plain_text.complaint_of_name),
        ruled(
            text("emailaddress", 100, label="Incoming Email", about="The shared mailbox that mail is sent from."),
            plain_text.complaint,
        ),
        memo("description", 2000, about="Notes."),
        *state(),
        *audit(),
    ),
    writers="administrator",
    collections={"queue_activity_parties": Collection("activityparty", "partyid")},
    about="A shared mailbox.",
)

TABLES = (CONTACT, ACCOUNT, LEAD, SYSTEMUSER, QUEUE)
