"""AWS Bedrock's endpoint for OpenAI's API: docs.aws.amazon.com/bedrock (2026-11).

The pages are inference-responses-api and troubleshooting-api-error-codes. A site is an AWS region. Keys: a Bedrock API
key is shown as Bearer; a pair `ID:SECRET` of IAM, or `ID:SECRET:TOKEN` of STS, signs each request (Signature Version 4)
and the secret stays here. Errors are Bedrock's own, by name, also where they have OpenAI's form. A model whose name
begins with a geography (`us.`, `eu.`, `apac.`, `global.`) is an inference profile and may be computed in other regions,
so a site by itself promises nothing of that. Which site serves which model is for AWS to say.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.auth import Auth
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.provider import OPENAI_PATHS, RESPONSES_WIRE, Provider
from hybridproxy.providers.thinks import Thinks, same

REGIONS = {
    "us-east-1": "US",
    "us-east-2": "US",
    "us-west-2": "US",
    "ap-northeast-1": "JP",
    "ap-south-1": "IN",
    "ap-southeast-2": "AU",
    "ap-southeast-3": "ID",
    "eu-central-1": "DE",
    "eu-north-1": "SE",
    "eu-south-1": "IT",
    "eu-west-1": "IE",
    "eu-west-2": "GB",
    "sa-east-1": "BR",
}
"""AWS region -> the country it is in."""

BEDROCK = Provider(
    name="bedrock",
    sites={region: f"https://bedrock-runtime.{region}.amazonaws.com/openai/v1" for region in REGIONS},
    places=REGIONS,
    paths={Operation.CHAT: OPENAI_PATHS[Operation.CHAT]},
    wires={Dialect.RESPONSES: RESPONSES_WIRE},
    auth=Auth(signs="bedrock"),
    thinks=Thinks(
        own=frozenset({"reasoning_effort"}), effort="reasoning_effort", efforts=same("low", "medium", "high")
    ),
    faults=(
        FaultRule(
            FaultKind.CREDENTIAL,
            code=(
                "expiredtoken", "incompletesignature", "invalidclienttokenid", "invalidsignature",
                "missingauthenticationtoken", "signaturedoesnotmatch", "unrecognizedclient",
            ),
        ),
        FaultRule(FaultKind.CREDENTIAL, status=403, says=("security token", "signature", "api key", "bearer token")),
        FaultRule(FaultKind.FORBIDDEN, code=("accessdenied",)),
        FaultRule(FaultKind.CONTEXT_TOO_LONG, code=("validation",), says=("input is too long",)),
        FaultRule(FaultKind.THROTTLED, code=("throttling", "servicequotaexceeded", "modelnotready")),
        FaultRule(FaultKind.NOT_FOUND, code=("resourcenotfound",)),
        FaultRule(FaultKind.OVERLOADED, code=("serviceunavailable", "modeltimeout")),
        # the model broke down over the input; 424 is no status of the caller's doing
        FaultRule(FaultKind.UPSTREAM_ERROR, code=("modelerror", "modelstreamerror", "internal")),
        *OPENAI_FAULTS,
    ),
)  # fmt: skip
