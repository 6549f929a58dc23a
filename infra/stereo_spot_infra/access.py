"""The way in: a load balancer that lets nobody through who has not signed in."""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_elasticloadbalancingv2_actions as actions
from constructs import Construct

from .configuration import NAME, WEB_PORT, Configuration, Oidc
from .network import Network
from .reasons import acknowledge
from .services import Services
from .storage import BALANCER_LOGS, Storage

# A working day; then people sign in again.
_SESSION = Duration.hours(10)


class Access(Construct):
    """HTTPS, a login, then Dagster's webserver, which has no login of its own.

    Made only where there is a certificate: an open or unencrypted UI is never made.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        configuration: Configuration,
        *,
        network: Network,
        services: Services,
        storage: Storage,
    ) -> None:
        super().__init__(scope, construct_id)
        self._configuration = configuration
        self.balancer = self._balancer(network, storage)
        self.targets = elb.ApplicationTargetGroup(
            self,
            "Webserver",
            vpc=network.vpc,
            port=WEB_PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            health_check=elb.HealthCheck(path="/server_info", interval=Duration.seconds(30)),
            deregistration_delay=Duration.seconds(30),
        )
        services.webserver.attach_to_application_target_group(self.targets)
        onward = elb.ListenerAction.forward([self.targets])
        self.balancer.add_listener(
            "Https",
            port=443,
            open=False,
            certificates=[acm.Certificate.from_certificate_arn(self, "Certificate", configuration.certificate_arn)],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            default_action=_sign_in_with(configuration.oidc, onward)
            if configuration.oidc
            else self._sign_in_with_cognito(onward),
        )
        self.balancer.add_listener(
            "Http",
            port=80,
            open=False,
            default_action=elb.ListenerAction.redirect(port="443", protocol="HTTPS", permanent=True),
        )
        CfnOutput(Stack.of(self), "Url", value=f"https://{configuration.domain_name}")
        CfnOutput(Stack.of(self), "PointTheDomainTo", value=self.balancer.load_balancer_dns_name)

    def _balancer(self, network: Network, storage: Storage) -> elb.ApplicationLoadBalancer:
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            load_balancer_name=NAME,
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            internet_facing=True,
            security_group=network.balancer,
            drop_invalid_header_fields=True,
            # The UI's live updates are a websocket on which nothing may come for minutes.
            idle_timeout=Duration.minutes(10),
        )
        # The construct's own method wants to know the region; the bucket's policy is the same in all of them.
        balancer.set_attribute("access_logs.s3.enabled", "true")
        balancer.set_attribute("access_logs.s3.bucket", storage.logs.bucket_name)
        balancer.set_attribute("access_logs.s3.prefix", BALANCER_LOGS)
        return balancer

    def _sign_in_with_cognito(self, onward: elb.ListenerAction) -> elb.ListenerAction:
        pool = cognito.UserPool(
            self,
            "People",
            user_pool_name=NAME,
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=14, require_digits=True, require_lowercase=True, require_symbols=True, require_uppercase=True
            ),
            # Whoever can start runs spends money; a lost pool would mean inviting everybody again.
            removal_policy=RemovalPolicy.RETAIN,
        )
        for rule in ("AwsSolutions-COG3", "AwsSolutions-COG8"):
            acknowledge(
                pool,
                rule,
                "Threat protection is paid by the head; people are invited by hand and have a second factor.",
            )
        # Prefixes are unique in the region over all accounts.
        domain = pool.add_domain(
            "Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"{NAME}-{Aws.ACCOUNT_ID}")
        )
        client = pool.add_client(
            "Client",
            generate_secret=True,
            prevent_user_existence_errors=True,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL],
                callback_urls=[f"https://{self._configuration.domain_name}/oauth2/idpresponse"],
                logout_urls=[f"https://{self._configuration.domain_name}/"],
            ),
        )
        CfnOutput(Stack.of(self), "UserPool", value=pool.user_pool_id)
        return actions.AuthenticateCognitoAction(
            user_pool=pool,
            user_pool_client=client,
            user_pool_domain=domain,
            session_timeout=_SESSION,
            allow_https_outbound=False,
            next=onward,
        )


def _sign_in_with(oidc: Oidc, onward: elb.ListenerAction) -> elb.ListenerAction:
    return elb.ListenerAction.authenticate_oidc(
        issuer=oidc.issuer,
        authorization_endpoint=oidc.authorization_endpoint,
        token_endpoint=oidc.token_endpoint,
        user_info_endpoint=oidc.user_info_endpoint,
        client_id=oidc.client_id,
        client_secret=SecretValue.secrets_manager(oidc.client_secret_arn),
        scope="openid email",
        session_timeout=_SESSION,
        on_unauthenticated_request=elb.UnauthenticatedAction.AUTHENTICATE,
        allow_https_outbound=False,
        next=onward,
    )
