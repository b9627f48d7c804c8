"""The command line itself: the commands and what they take. What each does is a module, loaded when called."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from quoth._version import __version__
from quoth.cli import terminal
from quoth.cli.failures import EXIT_CODES, ExitCode, Failed, UsageFault, failing, report, silence

__all__ = ["run"]

# Typer's own base of everything that is wrong with a command line; where it lives differs between its versions.
_UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="PROVIDER/MODEL; a bare name of a Poe model means poe/NAME. Default: QUOTH_MODEL, else a cheap Poe model.",
    ),
]


def _epilog(*examples: str, more: str = "") -> str:
    """Examples in typer's notation for text that is not to be wrapped."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{lines}" + (f"\n\n{more}" if more else "")


_CODES = "\b\nExit codes:\n" + "\n".join(f"  {int(code):<3}  {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    name="quoth",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_epilog(
        'quoth chat "What is the capital of France?"',
        "quoth models claude --supports tools --sort price",
        "quoth demo",
        more=f"{_CODES}\n\nThe key for Poe is read from POE_API_KEY. Not affiliated with Quora or Poe.",
    ),
)


def _version(asked: bool) -> None:
    if asked:
        terminal.write(f"quoth {__version__}\n")
        raise typer.Exit


@app.callback()
def quoth(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """All of Poe, and any OpenAI-compatible provider, from one command."""


@app.command(
    epilog=_epilog(
        'quoth chat "What is the capital of France?"',
        'cat notes.txt | quoth chat "Summarise this" -m Claude-Sonnet-4.6',
        'quoth chat "What is on it?" --image photo.jpg',
        'quoth chat "What does it say?" --file paper.pdf',
        'quoth chat "A raven, ink on paper" -m Nano-Banana -p aspect_ratio=16:9',
        "quoth chat --json Hello | jq .cost",
        "quoth chat",
        more="Without a prompt, on a terminal, it is a conversation: /help lists its commands.",
    )
)
def chat(
    prompt: Annotated[str | None, typer.Argument(help="What to say. Piped text is the prompt, or its context.")] = None,
    model: Model = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A picture to send along: a file or an http(s) address; may be repeated."),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Any file to send along, such as a PDF or a sound; may be repeated."
        ),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Show the answer as it comes.")] = True,
    temperature: Annotated[float | None, typer.Option(help="0 is the most predictable.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The longest answer, in tokens.")] = None,
    reasoning_effort: Annotated[str | None, typer.Option(help="Such as low, medium or high.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="Any other parameter, a bot's own too; VALUE is JSON or else a text; may be repeated.",
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="The longest that the whole call may take, in seconds.")] = None,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Show the model's reasoning, on stderr.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line about tokens and cost.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask a model, or talk with it.

    The answer goes to stdout; tokens, cost and warnings go to stderr.
    """
    with failing(json=as_json, debug=debug):
        from quoth.cli import chat as command

        named = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "reasoning_effort": reasoning_effort,
            "timeout": timeout,
        }
        command.run(
            prompt,
            model=model,
            system=system,
            images=image or [],
            files=file or [],
            stream=stream,
            named=named,
            pairs=parameter or [],
            show_reasoning=reasoning,
            quiet=quiet,
            as_json=as_json,
            debug=debug,
        )


@app.command(
    epilog=_epilog(
        "quoth models claude",
        "quoth models --supports tools --input image --max-price 1 --sort price",
        "quoth models --output video --json | jq -r '.[].id'",
        "quoth models --provider openrouter --free",
        "quoth models show claude-opus-4.6",
        "quoth models changes 2026-04-01 --refresh",
        more="`show ID` is all that is known of a Poe model, with calls to copy. `changes [FROM] [TO]` compares two "
        "lists: shipped (the default FROM), the day of a copy, a file; the default TO is the newest copy. Prices are "
        "USD: for 1 million tokens, prompt / answer, or for a call. The list is the one last fetched with --refresh, "
        "else the shipped one; with --provider it is fetched from that provider now.",
    )
)
def models(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SEARCH | show ID | changes [FROM] [TO]]", help="Part of a name or of an owner."),
    ] = None,
    takes: Annotated[list[str] | None, typer.Option("--input", help="It takes text, image, audio or video.")] = None,
    makes: Annotated[list[str] | None, typer.Option("--output", help="It makes text, image, audio or video.")] = None,
    supports: Annotated[list[str] | None, typer.Option(help="It can do tools, web_search or reasoning.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose it is, such as Anthropic.")] = None,
    max_price: Annotated[
        float | None, typer.Option(help="Most USD for 1 million prompt tokens, or for a picture, sound or film.")
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Only what is known to cost nothing.")] = False,
    provider: Annotated[str | None, typer.Option(help="Fetch this provider's own list, such as poe or groq.")] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Fetch Poe's list now, and keep it in the cache directory.")
    ] = False,
    sort: Annotated[
        str | None, typer.Option(help="By name, price, context (largest first) or created (newest).")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List models: what they take and make, and what they cost."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import models as command

        first, *others = words or [""]
        if first == "show" and words:
            from quoth.cli import show

            show.run(others, refresh=refresh, as_json=as_json)
            return
        if first == "changes" and words:
            from quoth.cli import changes

            changes.run(others, refresh=refresh, as_json=as_json)
            return
        if others:
            raise UsageFault(f"{' '.join(words or [])!r} are several words; put quotation marks around them")
        wanted = command.Wanted(
            search=first,
            takes=takes or [],
            makes=makes or [],
            supports=supports or [],
            owner=owner or "",
            max_price=max_price,
            free=free,
        )
        command.run(wanted, provider=provider, sort=sort, as_json=as_json, refresh=refresh)


@app.command(
    epilog=_epilog(
        "quoth emulate",
        "quoth emulate --token-delay 0.05 --fault 'status=429; retry-after=1; times=2'",
        "quoth emulate --profile documented --no-subscriber",
        "quoth emulate --facts",
        more="A switch that is not given has the value of its profile; times are seconds, money points. Faults and all "
        "the rest are explained in docs/emulator.md.",
    )
)
def emulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8100,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    profile: Annotated[str, typer.Option(help="observed or documented.")] = "observed",
    facts: Annotated[bool, typer.Option("--facts", help="List what is emulated and how well it is known.")] = False,
    token_delay: Annotated[float | None, typer.Option(help="Between two events of a stream.")] = None,
    first_token_delay: Annotated[float | None, typer.Option(help="Before an answer begins.")] = None,
    strict: Annotated[bool | None, typer.Option("--strict/--no-strict", help="Refuse what is not declared.")] = None,
    json_schema_models: Annotated[
        str | None, typer.Option(metavar="IDS", help="Models that honour a JSON schema: ids with commas, all, none.")
    ] = None,
    forward_reasoning_effort: Annotated[
        bool | None,
        typer.Option("--forward-reasoning-effort/--no-forward-reasoning-effort", help="It has an effect."),
    ] = None,
    usage_details: Annotated[str | None, typer.Option(help="Token details: recorded, always or never.")] = None,
    instructions: Annotated[
        bool | None, typer.Option("--instructions/--no-instructions", help="Those of Responses have an effect.")
    ] = None,
    previous_responses: Annotated[
        bool | None, typer.Option("--previous-responses/--no-previous-responses", help="They can be continued by id.")
    ] = None,
    cache_lifetime: Annotated[float | None, typer.Option(help="How long a marked prompt is remembered.")] = None,
    openai_media_paths: Annotated[
        bool | None,
        typer.Option("--openai-media-paths/--no-openai-media-paths", help="/v1/images/generations and the like."),
    ] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Requests a minute for one key.")] = None,
    rate_limit_headers: Annotated[
        bool | None, typer.Option("--rate-limit-headers/--no-rate-limit-headers", help="On every chat answer.")
    ] = None,
    balance: Annotated[int | None, typer.Option(help="Points at the start.")] = None,
    subscriber: Annotated[
        bool | None, typer.Option("--subscriber/--no-subscriber", help="Without: only free models answer.")
    ] = None,
    late_costs: Annotated[float | None, typer.Option(help="How long the history shows 0 points.")] = None,
    numeric_error_codes: Annotated[
        bool | None, typer.Option("--numeric-error-codes/--no-numeric-error-codes", help="error.code is the status.")
    ] = None,
    empty_members: Annotated[
        bool | None, typer.Option("--empty-members/--no-empty-members", help="Members that are always null are there.")
    ] = None,
    full_balance: Annotated[
        bool | None, typer.Option("--full-balance/--no-full-balance", help="The balance in all its fields.")
    ] = None,
    past_rows: Annotated[int | None, typer.Option(help="Made-up rows of the last 30 days in the history.")] = None,
    developer_role: Annotated[
        bool | None, typer.Option("--developer-role/--no-developer-role", help="The role developer is accepted.")
    ] = None,
    media_delay: Annotated[float | None, typer.Option(help="How long a media bot takes.")] = None,
    media_progress: Annotated[
        bool | None, typer.Option("--media-progress/--no-media-progress", help="Streams of media bots tell of it.")
    ] = None,
    media_origin: Annotated[str | None, typer.Option(metavar="URL", help="Scheme and host of media.")] = None,
    browser_only: Annotated[
        bool | None, typer.Option("--browser-only/--no-browser-only", help="Files are refused to Python programs.")
    ] = None,
    max_body: Annotated[int | None, typer.Option(help="A longer request, in bytes, is 413.")] = None,
    facts_changed: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Facts that are deliberately not so, with commas.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="FAULT", help="A fault for coming requests; may be repeated.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve an offline Poe, until Ctrl-C.

    The lines to use it with go to stdout.
    """
    given = dict(locals())
    with failing(json=as_json, debug=debug):
        from quoth.cli import emulate as command

        if facts:
            command.show_facts(as_json=as_json)
            return
        given["faults"] = tuple(given.pop("fault") or ()) or None
        if json_schema_models is not None and json_schema_models not in ("all", "none"):
            given["json_schema_models"] = tuple(name.strip() for name in json_schema_models.split(","))
        own = ("port", "host", "profile", "facts", "as_json", "debug")
        switches = {name: value for name, value in given.items() if name not in own and value is not None}
        command.run(host, port, profile, switches, as_json=as_json)


@app.command(
    epilog=_epilog(
        "quoth demo",
        "POE_API_KEY=... quoth demo -m Claude-Haiku-4.5",
        "quoth demo --offline --json",
        more="Without POE_API_KEY it starts the emulator: no network, no cost. With the key it talks to Poe, with "
        "cheap models and under a cap, and says what that cost. Nobody knows what a clip costs there, so it is only "
        "made with --clip. Files stay in a temporary folder.",
    )
)
def demo(
    model: Model = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use the emulator even if there is a key.")] = False,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest single answer, in tokens.")] = 200,
    max_usd: Annotated[float, typer.Option(min=0, help="The most that the tour may cost on your account.")] = 0.05,
    clip: Annotated[bool, typer.Option("--clip", help="Make the clip at Poe too, whatever it costs.")] = False,
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve",
            help="Keep the gateway (and the emulator, if any) running after the tour, until Ctrl-C. Default: on "
            "a terminal.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the main job: text, a stream, a tool call, calls at once, a picture, speech, a clip; and the gateway."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import demo as command

        command.run(
            model,
            offline=offline,
            max_tokens=max_tokens,
            max_usd=max_usd,
            clip=clip,
            serve=serve,
            as_json=as_json,
        )


@app.command(
    epilog=_epilog("quoth balance", "quoth balance --json | jq .points", more="The key is read from POE_API_KEY.")
)
def balance(as_json: Json = False, debug: Debug = False) -> None:
    """Show what is left at Poe: points, dollars, the next grants, auto recharge."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import balance as command

        command.run(as_json=as_json)


@app.command(
    epilog=_epilog(
        "quoth usage",
        "quoth usage --by model --since 7d",
        "quoth usage --since 2026-04-01 --csv > usage.csv",
        more="Poe keeps 30 days. Days are those of UTC. What was used a moment ago may still show 0 points.",
    )
)
def usage(
    by: Annotated[str | None, typer.Option(help="Add up by day, model or key; default: call by call.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="A day (2026-04-01) or how far back (12h, 7d); default: all.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The most calls to read, newest first.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what was spent at Poe: call by call, or by day, model or key with a plot."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import usage as command

        command.run(by=by, since=since, limit=limit, as_csv=csv, as_json=as_json)


@app.command(
    epilog=_epilog(
        "quoth batch questions.jsonl -o answers.jsonl -m poe/GPT-4.1-nano",
        "quoth batch reviews.csv -o labels.jsonl --system 'Answer good or bad.' --max-tokens 5 --max-usd 2",
        "quoth batch questions.jsonl -o answers.jsonl --retry-errors",
        more='INPUT is JSON lines, in OpenAI\'s batch format or as {"prompt": ...} or {"messages": ...}, or CSV with a '
        "column prompt. OUTPUT has a line for each of them, in the same order. Started again, it goes on where it was.",
    )
)
def batch(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="The file of prompts: .jsonl or .csv.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUTPUT", help="The file of answers, JSON lines.")],
    model: Model = None,
    system: Annotated[str | None, typer.Option(help="A system message for lines that have none.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is the most predictable.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The longest answer, in tokens.")] = None,
    reasoning_effort: Annotated[str | None, typer.Option(help="Such as low, medium or high.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="Any other parameter for lines that do not say it; may be repeated.",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="The most calls at a time.")] = 16,
    rpm: Annotated[
        float | None, typer.Option(min=1, help="The most calls a minute. Default: 480 to Poe, which allows 500.")
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="The most that the batch may cost, earlier runs included.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask again where the answer is an error.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(help="The longest that one call may take, in seconds.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask a file of prompts, at a pace, under a cap, and go on where it stopped.

    Progress goes to stderr, with --json a summary to stdout.
    """
    with failing(json=as_json, debug=debug):
        from quoth.cli import batch as command

        named = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "reasoning_effort": reasoning_effort,
            "timeout": timeout,
        }
        command.run(
            source,
            output,
            model=model,
            system=system,
            named=named,
            pairs=parameter or [],
            concurrency=concurrency,
            rpm=rpm,
            max_usd=max_usd,
            retry_errors=retry_errors,
            quiet=quiet,
            as_json=as_json,
        )


@app.command(
    epilog=_epilog(
        "quoth verify --live -o seen.json",
        "quoth verify --live --only stream_order --only n",
        "quoth verify --facts",
        more="Without --live an emulator is asked, which costs nothing. The exit code is 1 when a fact has changed. "
        "What -o writes holds no key and nothing of the account.",
    )
)
def verify(
    live: Annotated[bool, typer.Option("--live", help="Ask Poe itself, with the key of POE_API_KEY.")] = False,
    max_usd: Annotated[float, typer.Option(min=0, help="The most that the whole run may cost.")] = 0.05,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write all that was seen, to be sent.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="FACT", help="Ask after this fact only; may be repeated.")
    ] = None,
    facts: Annotated[bool, typer.Option("--facts", help="List the facts, and ask nobody.")] = False,
    profile: Annotated[str, typer.Option(help="Of the emulator: observed or documented.")] = "observed",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask whether what Quoth believes about Poe is still so.

    Each fact is still true, changed, or unknown, with what was seen.
    """
    with failing(json=as_json, debug=debug):
        from quoth.cli import verify as command

        if facts:
            command.show_facts(as_json=as_json)
            return
        command.run(
            live=live,
            profile=profile,
            only=only or [],
            max_usd=max_usd,
            output=output,
            force=force,
            as_json=as_json,
        )


Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to save it; without an ending it gets one."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
Along = Annotated[
    list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="A file to send along; may be repeated.")
]
Parameter = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Any other parameter of the bot; may be repeated."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No line about the cost.")]
Seconds = Annotated[float | None, typer.Option("--timeout", help="The longest that the call may take, in seconds.")]
MediaModel = Annotated[
    str | None, typer.Option("--model", "-m", metavar="MODEL", help="PROVIDER/MODEL. Default: a cheap Poe bot.")
]


@app.command(
    epilog=_epilog(
        'quoth image "A raven, ink on paper"',
        'quoth image "A raven" --size 1024x1536 -o raven.png',
        'quoth image "Make it a woodcut" -f raven.png -m Nano-Banana',
    )
)
def image(
    prompt: Annotated[str | None, typer.Argument(help="What to draw; piped text too.")] = None,
    model: MediaModel = None,
    size: Annotated[str | None, typer.Option(help="Such as 1024x1536 or 16:9; the nearest that the bot has.")] = None,
    quality: Annotated[str | None, typer.Option(help="Such as low, medium or high.")] = None,
    file: Along = None,
    output: Output = None,
    force: Force = False,
    parameter: Parameter = None,
    timeout: Seconds = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw a picture and save it. The name of the file goes to stdout."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import making as command

        command.make(
            "image",
            prompt,
            model=model,
            output=output,
            force=force,
            files=file or [],
            named={"size": size, "quality": quality, "timeout": timeout},
            pairs=parameter or [],
            quiet=quiet,
            as_json=as_json,
        )


@app.command(
    epilog=_epilog(
        'quoth speak "Good morning"',
        "cat story.txt | quoth speak -o story.wav",
        'quoth speak "Guten Morgen" --language de -m ElevenLabs-v2.5-Turbo --voice Sarah',
    )
)
def speak(
    text: Annotated[str | None, typer.Argument(help="What to say; piped text too.")] = None,
    model: MediaModel = None,
    voice: Annotated[str | None, typer.Option(help="A voice of the bot.")] = None,
    language: Annotated[str | None, typer.Option(help="Such as en or de.")] = None,
    output: Output = None,
    force: Force = False,
    parameter: Parameter = None,
    timeout: Seconds = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Speak a text and save the sound. The name of the file goes to stdout."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import making as command

        command.make(
            "audio",
            text,
            model=model,
            output=output,
            force=force,
            files=[],
            named={"voice": voice, "language": language, "timeout": timeout},
            pairs=parameter or [],
            quiet=quiet,
            as_json=as_json,
        )


@app.command(
    epilog=_epilog(
        'quoth video "A raven takes off"',
        'quoth video "A raven takes off" --size 720x1280 --seconds 4 -o raven.mp4',
        more="Films are dear, and their prices are mostly unknown: quoth models --output video lists the bots.",
    )
)
def video(
    prompt: Annotated[str | None, typer.Argument(help="What to film; piped text too.")] = None,
    model: MediaModel = None,
    size: Annotated[str | None, typer.Option(help="Such as 1280x720 or 9:16; the nearest that the bot has.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long; the nearest that the bot has.")] = None,
    file: Along = None,
    output: Output = None,
    force: Force = False,
    parameter: Parameter = None,
    timeout: Seconds = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a film and save it. The name of the file goes to stdout."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import making as command

        command.make(
            "video",
            prompt,
            model=model,
            output=output,
            force=force,
            files=file or [],
            named={"size": size, "seconds": seconds, "timeout": timeout},
            pairs=parameter or [],
            quiet=quiet,
            as_json=as_json,
        )


@app.command(epilog=_epilog("quoth transcribe interview.mp3", "quoth transcribe interview.mp3 -m Whisper-V3-Large-T"))
def transcribe(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording: sound or film.")],
    model: MediaModel = None,
    language: Annotated[str | None, typer.Option(help="Such as en or de, for bots that want to know.")] = None,
    timeout: Seconds = None,
    quiet: Quiet = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write down what is said in a recording. The text goes to stdout."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import making as command

        command.transcribe(
            file, model=model, named={"language": language, "timeout": timeout}, quiet=quiet, as_json=as_json
        )


@app.command(
    epilog=_epilog(
        "quoth check config.yaml",
        "quoth check config.yaml --strict",
        "quoth check config.yaml --json | jq -r '.problems[].message'",
        "quoth check",
        more="Without a file: what the environment alone means. Every problem is named with its file, line and path. "
        "No secret is shown, nothing is called. The exit code is 1 if the gateway would not start. docs/settings.md "
        "explains the keys.",
    )
)
def check(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The settings of the gateway: YAML.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Keys that are not known are errors, not warnings.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the gateway's settings, and show what would be served."""
    with failing(json=as_json, debug=debug):
        from quoth.cli import check as command

        command.run(file, strict=strict, as_json=as_json)


@app.command(
    epilog=_epilog(
        "quoth serve",
        "quoth serve --config config.yaml",
        "QUOTH_MASTER_KEY=... quoth serve -c config.yaml --host 0.0.0.0 --port 80 --workers 4",
        more="Without a file it serves every model of Poe with POE_API_KEY. A changed file is read while it serves, "
        "with SIGHUP at once. SIGTERM or Ctrl-C lets open answers end; a second one does not wait.",
    )
)
def serve(
    config: Annotated[
        str | None,
        typer.Option("--config", "-c", envvar="CONFIG_FILE_PATH", metavar="FILE", help="LiteLLM's config.yaml."),
    ] = None,
    host: Annotated[str | None, typer.Option(envvar="HOST", help="The address to listen on; 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(envvar="PORT", min=0, max=65535, help="4000; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "--num_workers", envvar="NUM_WORKERS", min=1, max=256, help="Processes; 1."),
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option("--tls-cert", "--ssl_certfile_path", metavar="FILE", help="Certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", "--ssl_keyfile_path", metavar="FILE", help="Its private key, PEM.")
    ] = None,
    server: Annotated[str, typer.Option(help="granian or uvicorn.")] = "granian",
    strict: Annotated[bool, typer.Option("--strict", help="Unknown settings are errors.")] = False,
    recycle_above: Annotated[
        int, typer.Option(min=0, metavar="MB", help="Replace a worker that has grown above this; 0: never.")
    ] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve the OpenAI-compatible gateway, until Ctrl-C.

    One line per request goes to stdout, what else there is to say to stderr.
    """
    with failing(json=as_json, debug=debug):
        from quoth.cli import serve as command

        given = {"host": host, "port": port, "workers": workers, "tls_cert": tls_cert, "tls_key": tls_key}
        code = command.run(config, given, server=server, strict=strict, recycle_above=recycle_above, as_json=as_json)
    raise typer.Exit(code)


def run(arguments: list[str]) -> int:
    """One command line, from its words to its exit code."""
    terminal.prepare()
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="quoth", standalone_mode=False)
        terminal.write("")
        return int(code or 0)
    except Failed as failed:
        return failed.code
    except _UsageError as error:
        if (show_help := getattr(error, "ctx", None)) is not None and not arguments:
            terminal.write(f"{show_help.get_help()}\n")
            return ExitCode.USAGE
        _usage(error)
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except Exception as error:
        report(error)
        return ExitCode.FAILURE
    finally:
        silence()


def _usage(error: Exception) -> None:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "quoth"
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    terminal.note(f"quoth: {said.rstrip('.')}; `{path} --help` shows how it is used", "red")
