from django.urls import path

from tenants.accounts import admin_views, member_views, streams, views

MEMBER = "tenants/<slug:slug>/members/<int:member_id>/"
urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="account_login"),  # the name that allauth looks for
    path("sign-in/link/<str:secret>", views.sign_in_link, name="sign_in_link"),
    path("start/", views.start, name="start"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("account/", views.account, name="account"),
    path("account/password/", views.password, name="password"),
    path("account/tokens/", views.create_token, name="create_token"),
    path("account/tokens/<str:token_id>/revoke/", views.revoke_token, name="revoke_token"),
    path("tenants/<slug:slug>/", member_views.tenant, name="tenant"),
    path(f"{MEMBER}role/", member_views.change_role, name="change_role"),
    path(f"{MEMBER}remove/", member_views.remove_member, name="remove_member"),
    path("machine/tenants/", admin_views.tenants, name="tenants"),
    path("machine/people/", admin_views.people, name="people"),
    path("machine/people/<int:user_id>/link/", admin_views.new_link, name="new_link"),
    path("machine/people/<int:user_id>/shut-out/", admin_views.shut_out, name="shut_out"),
    path("machine/people/<int:user_id>/let-in/", admin_views.let_in, name="let_in"),
    path("streams/live/", streams.live, name="live"),
]
