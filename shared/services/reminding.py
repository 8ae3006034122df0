"""Reminders: judging one whose time has come."""

from datetime import datetime

from shared.storage.organizations import Organization


async def remind(organization: Organization, email_id: str, now: datetime) -> None:
    """Judge the reminder of an email whose time has come; nothing does until reminders are kept."""
