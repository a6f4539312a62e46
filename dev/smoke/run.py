"""`make smoke URL=… TOKEN=…`: tells whether a deployed stack works. The token is the platform's, with all scopes."""

import os
from collections.abc import Callable

from credits import Client
from credits.problems import CreditsError
from dev.smoke.story import NotSeenError, Story, fresh_account


def main() -> None:
    """Read URL and TOKEN from the environment, tell the story, and fail if a chapter did."""
    url, token = os.environ.get("URL", "").rstrip("/").removesuffix("/v1"), os.environ.get("TOKEN", "")
    if not url or not token:
        raise SystemExit("error: make smoke URL=https://api.example.com TOKEN=… (the platform's, with all scopes)")
    with Client(url, token) as client:
        story = Story(client, url, fresh_account())
        passed, told = tell(story)
    print("the stack works" if passed else f"FAILED after {told} steps; the first FAILED line says why")
    if not passed:
        raise SystemExit(1)


def tell(story: Story) -> tuple[bool, int]:
    """Go through the chapters until one fails, and close the account; whether none failed, and how many were told."""
    told = 0
    for chapter in story.chapters():
        if not did(chapter):
            break
        told += 1
    else:
        return did(story.close), told + 1
    if told >= list(story.chapters()).index(story.opening):
        did(story.close)
    return False, told


def did(chapter: Callable[[], str]) -> bool:
    """Do a chapter, and print what it saw; whether all was as it has to be."""
    try:
        print(f"ok      {chapter()}", flush=True)
    except (NotSeenError, CreditsError) as error:
        print(f"FAILED  {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    main()
