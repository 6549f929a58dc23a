"""The UI is never open: without a certificate nothing leads to it, with one everybody signs in first."""

from __future__ import annotations

from .synthesis import Deployment


def test_without_a_certificate_there_is_no_load_balancer(default: Deployment) -> None:
    for kind in ("LoadBalancer", "Listener", "TargetGroup"):
        assert not default.compute.all(f"ElasticLoadBalancingV2::{kind}")


def test_without_a_load_balancer_a_person_gets_in_through_session_manager(default: Deployment) -> None:
    assert default.compute.one("ECS::Service", "ServicesWebserver")["EnableExecuteCommand"] is True


def listener(deployment: Deployment, port: int) -> dict:
    found = deployment.compute.all("ElasticLoadBalancingV2::Listener").values()
    return next(listener for listener in found if listener["Port"] == port)


def test_people_sign_in_with_the_provider_before_anything_is_forwarded(with_domain: Deployment) -> None:
    actions = sorted(listener(with_domain, 443)["DefaultActions"], key=lambda action: action["Order"])
    assert [action["Type"] for action in actions] == ["authenticate-oidc", "forward"]
    assert actions[0]["AuthenticateOidcConfig"]["OnUnauthenticatedRequest"] == "authenticate"


def test_no_rule_leads_past_the_login(with_domain: Deployment) -> None:
    assert not with_domain.compute.all("ElasticLoadBalancingV2::ListenerRule")


def test_the_secret_of_the_provider_is_not_in_the_template(with_domain: Deployment) -> None:
    secret = listener(with_domain, 443)["DefaultActions"][0]["AuthenticateOidcConfig"]["ClientSecret"]
    assert secret.startswith("{{resolve:secretsmanager:")


def test_plain_http_only_leads_to_https(with_domain: Deployment) -> None:
    (action,) = listener(with_domain, 80)["DefaultActions"]
    assert action["Type"] == "redirect"
    assert action["RedirectConfig"]["Protocol"] == "HTTPS"


def test_https_is_modern(with_domain: Deployment) -> None:
    assert "TLS13" in listener(with_domain, 443)["SslPolicy"]


def test_visits_are_logged(with_domain: Deployment) -> None:
    attributes = with_domain.compute.one("ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
    assert {"Key": "access_logs.s3.enabled", "Value": "true"} in attributes
    assert {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"} in attributes


def test_without_a_provider_people_are_invited_and_have_a_second_factor(with_cognito: Deployment) -> None:
    pool = with_cognito.compute.one("Cognito::UserPool")
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["MfaConfiguration"] == "ON"
    actions = sorted(listener(with_cognito, 443)["DefaultActions"], key=lambda action: action["Order"])
    assert [action["Type"] for action in actions] == ["authenticate-cognito", "forward"]
    client = with_cognito.compute.one("Cognito::UserPoolClient")
    assert client["CallbackURLs"] == ["https://3d.example.com/oauth2/idpresponse"]
