"""The texts of the demo data: users, their tasks, and their conversations with an assistant."""

from typing import Any

USERS = {
    "demo-alice": "Alice (demo)",
    "demo-bob": "Bob (demo)",
    "demo-charlie": "Charlie (demo)",
    "demo-dave": "Dave (demo)",
    "demo-erin": "Erin (demo)",
}
ZONES = {
    "demo-alice": "Europe/Berlin",
    "demo-bob": "America/New_York",
    "demo-charlie": "Asia/Kolkata",
    "demo-dave": "Australia/Sydney",
}

CLIENTS = ["Claude", "ChatGPT", "Visual Studio Code"]

# For each tool: the most calls per hour and client, milliseconds per call, and the share of each other outcome.
CALLS = {
    "list_tasks": (60, 4.0, {"rate_limited": 0.01}),
    "add_task": (22, 6.0, {"invalid_arguments": 0.03, "idempotency_conflict": 0.005}),
    "complete_task": (14, 5.0, {"task_not_found": 0.05}),
    "update_task": (9, 5.0, {"task_not_found": 0.03, "invalid_arguments": 0.02}),
    "delete_task": (3, 5.0, {"task_not_found": 0.04, "internal_error": 0.01}),
}

# What invalid arguments were wrong, for the tools that have this outcome.
WRONG_FIELDS = {
    "add_task": [["due"], ["tasks.due"], ["repeat"], ["unknown"], ["title", "priority"]],
    "update_task": [["due"], ["expected_version"], ["unknown"]],
}

EDITS = [" this week", " before noon", " (ask first)", ", the cheap one", ", once more"]

TASKS = [
    ("Buy milk", "Two litres, and oat milk if they have it."),
    ("Call the dentist", "Ask for a morning. The old appointment was on a Thursday."),
    ("Water the plants", ""),
    ("Pay the electricity bill", "Due on the 15th; the reference is on the back of the letter."),
    ("Renew the passport", "Two photos, the old passport, and the form from the town hall."),
    ("Return the library books", "Three of them. The red one is under the sofa."),
    ("Fix the kitchen tap", "It drips when the hot side is closed. Size 15 washer."),
    ("Write to the landlord about the heating", ""),
    ("Book train tickets to the coast", "Saturday out, Monday back, a seat by the window."),
    ("Send the slides to the team", "Without the two hidden pages."),
    ("Review the pull request on retries", "Mind the jitter: the third attempt waits too long."),
    ("Back up the photos", "To the disk in the drawer, then check that it can be read."),
    ("Change the bicycle tyre", ""),
    ("Order a birthday cake", "Chocolate, eight people, no nuts."),
    ("Find a present", "Something for the garden, up to 30."),
    ("Cancel the gym", "Notice has to be in writing, a month ahead."),
    ("Take the parcel to the post office", "It closes at six."),
    ("Prepare the quarterly numbers", "Same layout as last time; compare with the plan."),
    ("Clean the coffee machine", ""),
    ("Learn ten new words", "Kitchen, weather, train station."),
    ("Ask about the invoice from March", "They have paid, but the amount differs by the discount."),
    ("Try the lentil soup recipe", "Cumin, lemon, and less water than it says."),
    ("Vaccination for the cat", "The card is in the folder with the receipts."),
    ("Plan the weekend walk", "Not more than 15 km; somewhere to eat half way."),
    ("Update the dependencies", "One at a time, and run the tests in between."),
    ("Hang the pictures in the hall", ""),
    ("Sort the receipts", "Travel first."),
    ("Talk to the neighbours about the fence", "Friendly. Bring the drawing."),
    ("לקנות לחם ופירות", "שני כיכרות לחם, תפוחים וענבים."),
    ("حجز موعد عند الطبيب", "صباح يوم الاثنين إن أمكن."),
    ("郵便局に荷物を出す", "六時までに。"),
    ("Поздравить маму", "Позвонить вечером, после семи."),
    ("Arroser le basilic 🌿", "Un peu chaque jour, pas sur les feuilles."),
    ("Müll rausbringen", "Papier am Dienstag, Glas am Freitag."),
]

# Tags, repeats and checklists, by the title of the task.
TAGS = {
    "Buy milk": ["shopping"],
    "Call the dentist": ["health"],
    "Water the plants": ["home"],
    "Pay the electricity bill": ["home", "money"],
    "Fix the kitchen tap": ["home"],
    "Send the slides to the team": ["work"],
    "Review the pull request on retries": ["work"],
    "Order a birthday cake": ["shopping", "family"],
    "Find a present": ["shopping", "family"],
    "Prepare the quarterly numbers": ["work", "money"],
    "Vaccination for the cat": ["health"],
    "Sort the receipts": ["money"],
    "Müll rausbringen": ["Zuhause"],
}
REPEATS = {
    "Water the plants": "FREQ=WEEKLY;BYDAY=MO,TH",
    "Pay the electricity bill": "FREQ=MONTHLY;BYMONTHDAY=15",
    "Clean the coffee machine": "FREQ=WEEKLY;INTERVAL=2",
    "Müll rausbringen": "FREQ=WEEKLY;BYDAY=TU,FR",
}
CHECKLISTS = {
    "Buy milk": ["Milk", "Oat milk", "Bread", "Coffee"],
    "Renew the passport": ["Two photos", "The old passport", "The form from the town hall"],
    "Plan the weekend walk": ["Look at the timetable", "Somewhere to eat", "Ask who comes"],
    "Prepare the quarterly numbers": ["Layout of last time", "Compare with the plan", "Send them"],
}

CONVERSATIONS = [
    [
        "What do I still have to do this week?",
        "Five tasks are pending. The oldest is “Pay the electricity bill”, due on the 15th. Shall I list the others?",
        "Yes, please.",
        "Call the dentist, fix the kitchen tap, send the slides to the team, and water the plants.",
    ],
    [
        "Remind me to buy milk, and something for the garden for Saturday.",
        "Added two tasks: “Buy milk” and “Find a present”, with “for the garden, by Saturday” in its notes.",
    ],
    [
        "I finished the slides.",
        "Good. I marked “Send the slides to the team” as done.",
        "Oh wait, I have not sent them yet!",
        "A completed task stays in your list. I can add it again, so that it is pending: shall I?",
        "Yes.",
        "Added “Send the slides to the team”.",
    ],
    [
        "Delete everything about the gym.",
        "I found one task: “Cancel the gym”. It says that notice has to be in writing, a month ahead. Delete it?",
        "Yes, that is done with.",
        "Deleted. An operator can bring it back for 30 days.",
    ],
    [
        "Can you make the soup task clearer? I never understand my own notes.",
        "I can write: “Cumin at the start, lemon at the end, three quarters of the water.” Is that what you meant?",
        "Exactly.",
        "Updated the description of “Try the lentil soup recipe”.",
    ],
    [
        "מה נשאר לי לקנות?",
        "נשארו שתי משימות: לחם ופירות, וחלב.",
        "תודה!",
    ],
    [
        "How many things did I get done last month?",
        "Twenty-three completed, eleven still pending. You were fastest on Fridays.",
    ],
    [
        "Here are my notes from the call. What do I have to do?\n\n"
        "The numbers for the quarter are due on Thursday, in the same layout as last time, and somebody has to compare "
        "them with the plan before they go out. The discount for March was never agreed in writing, so the amount on "
        "the invoice differs from what they paid; they would like to hear from us before the end of the month.\n\n"
        "The slides are fine but for the two hidden pages, which must not be sent. The team meets on Wednesday.\n\n"
        "About the office: the heating on the second floor still fails on cold mornings. The landlord asked for it in "
        "writing, with the dates on which it was cold, and a photo of the thermostat. The coffee machine blinks again; "
        "it probably wants to be cleaned. The parcel for the printer came to the neighbours, who are away until Monday."
        "\n\nAnd the summer walk: fifteen kilometres at most, somewhere to eat half way, and a train home before "
        "nine. Nobody has looked at the timetable yet. Two people do not eat meat, one has a bad knee, and the dog "
        "comes too.",
        "Four things are yours: the quarterly numbers by Thursday, the invoice from March, the slides without the "
        "hidden pages, and a letter about the heating. I added the last, with what the landlord asked for.",
    ],
]

# The titles of some conversations, by their first message
TITLES = {
    CONVERSATIONS[0][0]: "What is left this week",
    CONVERSATIONS[1][0]: "Milk, and a present for Saturday",
    CONVERSATIONS[4][0]: "Soup notes made clearer",
    CONVERSATIONS[5][0]: "קניות לשבת",
    CONVERSATIONS[7][0]: "Notes from the call: numbers, invoice, slides, heating and the summer walk",
}

# What an agent did before an answer: the text and the item of each message that its SDK stored, a call or its result.
STEPS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    CONVERSATIONS[1][1]: [
        (
            "Calls add_task: “Buy milk”, “Find a present”",
            {
                "type": "function_call",
                "id": "fc_0d1f62a7c5be",
                "call_id": "call_Qm7ZrXk2",
                "name": "add_task",
                "arguments": '{"tasks":[{"title":"Buy milk"},{"title":"Find a present","description":"Something for '
                'the garden, up to 30."}]}',
                "status": "completed",
            },
        ),
        (
            "add_task: added 2 tasks",
            {
                "type": "function_call_output",
                "call_id": "call_Qm7ZrXk2",
                "output": '{"tasks":[{"title":"Buy milk"},{"title":"Find a present"}],"message":"Added 2 tasks."}',
            },
        ),
    ],
    CONVERSATIONS[7][1]: [
        (
            "Calls list_tasks: those that wait",
            {"type": "function_call", "call_id": "call_w3Tn09sB", "name": "list_tasks", "arguments": "{}"},
        ),
        (
            f"list_tasks: {len(TASKS)} tasks",
            {
                "type": "function_call_output",
                "call_id": "call_w3Tn09sB",
                "output": [{"type": "input_text", "text": f"{title}. {text}".strip()} for title, text in TASKS],
            },
        ),
    ],
}

# The titles of the tasks that an agent added after a user's message.
TASKS_FROM_MESSAGES = {
    "Remind me to buy milk, and something for the garden for Saturday.": ["Buy milk", "Find a present"],
    "Yes.": ["Send the slides to the team"],
    CONVERSATIONS[-1][0]: ["Write to the landlord about the heating"],
}
