"""What the service answers, as it answers it (docs/contract.md, section 5): amounts are strings such as "1.33".

`Decimal(entry["posted"])` is exact. A field that is not named here may come all the same.
"""

from typing import Any, Literal, NotRequired, TypedDict

Unit = Literal["auto_order", "ai_rewrite", "finder", "managed"]
Holding = Literal["held", "captured", "released", "expired"]
Adding = Literal["opened", "granted", "purchased", "loaded", "adjusted"]
Kind = Holding | Adding | Literal["debited", "refused", "declined", "clawed_back", "standing"]
AccountStatus = Literal["active", "paused", "suspended", "closed"]
AddOn = Literal["active", "inactive"]
OrderStatus = Literal["queued", "processing", "ordered", "shipped", "failed"]
PartName = Literal["order", "tracking", "sourcing"]
PartStatus = Literal["open", "captured", "released", "expired"]
PaymentMethod = Literal["card", "paypal", "payoneer"]
PurchaseStatus = Literal[
    "pending", "credited", "declined", "canceled", "expired", "review", "disputed", "refunded", "charged_back"
]
UsageBy = Literal["store", "action", "day"]
Decision = Literal["credit", "refuse", "dispute_won", "dispute_lost"]


class Balance(TypedDict):
    """One unit's balance."""

    posted: str
    held: str
    available: str


Balances = dict[Unit, Balance]


class Account(TypedDict):
    """An account. `version` and `hash` pin its whole journal up to now."""

    account_id: str
    status: AccountStatus
    orders_processor: AddOn
    balances: Balances
    version: int
    hash: str
    as_of: str


class Settings(TypedDict):
    """An account's settings."""

    low_balance: str | None


class Action(TypedDict):
    """What an entry is for."""

    order_type: str
    tracking: str


class Entry(TypedDict):
    """One change of one unit."""

    entry_id: str
    version: int
    at: str
    kind: str
    unit: Unit | None
    posted: str | None
    held: str | None
    balance: Balance | None
    actor: str
    reason: NotRequired[str]
    reference: NotRequired[str]
    order_id: NotRequired[str]
    product_id: NotRequired[str]
    store_id: NotRequired[str]
    part: NotRequired[PartName]
    action: NotRequired[Action]
    rate_card: NotRequired[str]
    hold_id: NotRequired[str]
    purchase_id: NotRequired[str]
    key: NotRequired[str]
    attempt: NotRequired[int]
    cost: NotRequired[str]
    tracking_number: NotRequired[str]
    supplier_order_id: NotRequired[str]
    status: NotRequired[AccountStatus]
    orders_processor: NotRequired[AddOn]
    low_balance: NotRequired[str | None]


class Used(TypedDict):
    """What was consumed by one store, action or day; of a day also by which actions."""

    credits: str
    count: int
    store: NotRequired[str]
    action: NotRequired[str]
    day: NotRequired[str]
    actions: NotRequired[list["Used"]]


class Usage(TypedDict):
    """What was consumed, and for how many days the credits last at the rate of the last 30 days."""

    by: UsageBy
    items: list[Used]
    total: str
    days_left: int | None


class JournalItem(TypedDict):
    """A page of the journal; `page` is the text under its hash."""

    version: int
    at: str | None
    entries: list[Entry]
    state: Any
    prev: str
    hash: str
    page: str


class Rate(TypedDict):
    """A cell of the rate card."""

    order_type: str
    tracking: str
    credits: str


class Rates(TypedDict):
    """The rate card in force."""

    rate_card: str
    effective_from: str
    rates: list[Rate]
    sourcing: str


class Quote(TypedDict):
    """What a debit would cost now; `sufficient` speaks of the balances alone."""

    credits: str
    managed: str
    rate_card: str
    sufficient: bool
    available: dict[str, str]
    shortfall: dict[str, str]


class Debit(TypedDict):
    """What was charged."""

    credits: str
    managed: str
    rate_card: str
    entries: list[Entry]
    balances: Balances


class OpenedHold(TypedDict):
    """What was set aside, part by part."""

    hold_id: str
    status: PartStatus
    credits: str
    parts: dict[PartName, str]
    managed: str
    rate_card: str
    expires_at: str
    balances: Balances


class Hold(TypedDict):
    """A hold as it stands, with the status of each part."""

    hold_id: str
    status: PartStatus
    credits: str
    parts: dict[PartName, PartStatus]
    managed: str
    rate_card: str
    expires_at: str
    balances: Balances


class Sent(TypedDict):
    """An order that was queued, or sent again."""

    order_id: str
    status: OrderStatus
    attempt: int


class Resent(TypedDict):
    """How many failed orders were sent again, and whether there are more."""

    resent: int
    more: bool


class WorkStatus(TypedDict):
    """An order or a sourcing request as it stands; `credits` is what it has cost so far."""

    order_id: NotRequired[str]
    product_id: NotRequired[str]
    store_id: str
    order_type: str | None
    tracking: str | None
    status: str
    status_text: str | None
    attempt: int
    hold_id: str | None
    parts: dict[PartName, PartStatus]
    credits: str
    updated_at: str
    tracking_number: NotRequired[str]
    supplier_order_id: NotRequired[str]


class Package(TypedDict):
    """What can be bought."""

    package: str
    unit: Unit
    credits: str
    price: str
    price_per_credit: str


class Packages(TypedDict):
    """All packages."""

    currency: str
    items: list[Package]


class CouponTerms(TypedDict, total=False):
    """What a coupon gives (one of the first three), and its limits."""

    percent_off: str
    amount_off: str
    bonus_credits: str
    packages: list[str]
    starts_at: str
    ends_at: str
    max_uses: int
    max_uses_per_account: int


class Coupon(CouponTerms, total=False):
    """A coupon with its uses."""

    code: str
    uses: int
    closed: bool
    created_by: str
    closed_by: str


class CouponCheck(TypedDict):
    """What a package would cost with a coupon."""

    valid: bool
    price: str
    discount: str
    bonus_credits: str


class Payer(TypedDict):
    """Who pays, for the provider alone."""

    country: str
    email: str


class Payment(TypedDict):
    """Where a purchase is paid."""

    provider: str
    redirect_url: NotRequired[str]


class Dispute(TypedDict):
    """A dispute of a purchase."""

    dispute_id: str
    amount: str
    status: str


class Purchase(TypedDict):
    """A purchase as it stands."""

    purchase_id: str
    status: PurchaseStatus
    unit: Unit
    credits: str
    price: str
    payment: Payment | None
    discount: str
    bonus_credits: str
    refunded: str
    disputes: list[Dispute]
    payment_method: PaymentMethod
    created_at: str
    updated_at: str
    package: NotRequired[str]
    coupon: NotRequired[str]
    paid: NotRequired[str]
    review_reason: NotRequired[str]
    reviewed_by: NotRequired[str]
    canceled_by: NotRequired[str]


class Health(TypedDict):
    """Whether the service answers, and which release it is."""

    status: str
    version: str
