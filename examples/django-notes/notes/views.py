from django.shortcuts import redirect, render

from notes.models import Note


def index(request):
    if request.method == "POST":
        text = request.POST.get("text", "").strip()[:200]
        if text:
            Note.objects.create(text=text)
        return redirect("/")
    return render(request, "notes/index.html", {"notes": Note.objects.order_by("-pk")[:50]})
