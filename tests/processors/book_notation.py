"""Cases of the order book in few words, so that a table of them can be read.

Operations, separated by `;`. Who asks is `@X`, by default B for buy, S for sell, M for market; further fields are `name=value`:

    buy b 100 5 tif=IOC; sell s 99 2 @A; market m buy 3; cancel b @B; reduce b 3 @B; replace b 100 5 @B; clock 7; uncross; close

Answers, separated by `;`, each kind in its own order:

    s>b 100x3 (maker>taker)   b+s 100x3 (buy+sell, in an auction)   -b 5 user (cancel)   !b not_owner (reject)
    bid b 100x5   ask s 101x2 (what rests)
"""

import json


def operations(text):
    return [_operation(part.split()) for part in text.split(";") if part.strip()]


def answer(text):
    found = {"trades": [], "book": {"bids": [], "asks": []}, "rejects": [], "cancels": []}
    for part in text.split(";"):
        match part.split():
            case ["bid" | "ask" as side, order, size]:
                found["book"][side + "s"].append([order, *_size(size)])
            case [order, reason] if order.startswith("!"):
                found["rejects"].append([order[1:], reason])
            case [order, qty, reason] if order.startswith("-"):
                found["cancels"].append([order[1:], int(qty), reason])
            case [pair, size]:
                by, *roles = (">", "maker", "taker") if ">" in pair else ("+", "buy", "sell")
                found["trades"].append(
                    {**dict(zip(roles, pair.split(by), strict=True)), **dict(zip(("price", "qty"), _size(size), strict=True))}
                )
            case rest:
                assert not rest, part
    return found


def _size(text):
    price, qty = text.split("x")
    return int(price), int(qty)


def _operation(words):
    kind, *rest = words
    fields = dict(word.split("=") for word in rest if "=" in word)
    names = [word for word in rest if "=" not in word and not word.startswith("@")]
    accounts = [word[1:] for word in rest if word.startswith("@")]
    more = {name: _value(value) for name, value in fields.items()}
    match kind, names:
        case "buy" | "sell", [order, price, qty]:
            op = {"op": "new", "id": order, "acct": kind[0].upper(), "side": kind, "price": _value(price), "qty": _value(qty)}
        case "market", [order, side, qty]:
            op = {"op": "new", "id": order, "acct": "M", "side": side, "qty": _value(qty), "type": "market"}
        case "cancel", [order]:
            op = {"op": "cancel", "id": order}
        case "reduce", [order, by]:
            op = {"op": "reduce", "id": order, "by": _value(by)}
        case "replace", [order, price, qty]:
            op = {"op": "replace", "id": order, "price": _value(price), "qty": _value(qty)}
        case "clock", [t]:
            op = {"op": "clock", "t": int(t)}
        case "to_auction" | "uncross" | "close", []:
            op = {"op": kind}
        case _:
            raise ValueError(" ".join(words))
    return op | ({"acct": accounts[0]} if accounts else {}) | more


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text
