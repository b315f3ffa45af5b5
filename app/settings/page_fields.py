"""Settings that make the pages the owner's."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from app.settings.checks import origin


class PageSettings(BaseSettings):
    published_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="The port that a container publishes: for the setup link, where `public_url` is not set.",
    )
    public_url: Annotated[str | None, AfterValidator(origin)] = Field(
        None,
        description="Address at which browsers reach this service, such as `https://sign-in.example.com`: the portal "
        "of protected sites.",
    )
    site_name: str = Field(
        "Tallygate", min_length=1, max_length=60, description="Name of this service, in the header and title of pages."
    )
    logo_file: Path | None = Field(
        None, description="Picture for the header of pages (SVG, PNG, JPEG or WebP, at most 256 KiB), square."
    )
    footer: str = Field("", max_length=500, description="A sentence below all pages; plain text.")
    environment_label: str = Field(
        "", max_length=30, description="A word in the header of all pages, such as `Staging`; plain text."
    )
    only_provider: str = Field(
        "",
        description="Name of the one provider to sign in with: `/sign-in` leads straight to it, without a password "
        "form; `/sign-in?password` shows the form, for administrators.",
    )
