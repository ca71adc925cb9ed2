from django.urls import path

from tenants.accounts import streams, views

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="account_login"),  # the name that allauth looks for
    path("sign-in/link/<str:secret>", views.sign_in_link, name="sign_in_link"),
    path("start/", views.start, name="start"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("account/", views.account, name="account"),
    path("account/password/", views.password, name="password"),
    path("account/tokens/", views.create_token, name="create_token"),
    path("account/tokens/<str:token_id>/revoke/", views.revoke_token, name="revoke_token"),
    path("tenants/<slug:slug>/", views.tenant, name="tenant"),
    path("tenants/<slug:slug>/members/<int:member_id>/remove/", views.remove_member, name="remove_member"),
    path("machine/tenants/", views.tenants, name="tenants"),
    path("machine/people/<int:user_id>/link/", views.new_link, name="new_link"),
    path("streams/live/", streams.live, name="live"),
]
